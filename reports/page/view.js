// The stretch of time that is looked at, and who wants to know when it changes.

export class View {
  constructor(from, to) {
    this.first = from;
    this.last = Math.max(to, from + 1);
    this.from = this.first;
    this.to = this.last;
    this.least = Math.min(100, this.last - this.first); // nobody needs to look closer than 100 ns
    this.listeners = [];
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  set(from, to) {
    const span = Math.min(Math.max(to - from, this.least), this.last - this.first);
    const middle = (from + to) / 2;
    from = Math.min(Math.max(middle - span / 2, this.first), this.last - span);
    if (from === this.from && from + span === this.to) return;
    this.from = from;
    this.to = from + span;
    for (const listener of this.listeners) listener();
  }

  // Zooms by a factor (below 1: closer) so that `at` stays where it is.
  zoom(factor, at = (this.from + this.to) / 2) {
    this.set(at - (at - this.from) * factor, at + (this.to - at) * factor);
  }

  // Pans by a share of what is seen.
  pan(share) {
    const by = (this.to - this.from) * share;
    const moved = Math.min(Math.max(by, this.first - this.from), this.last - this.to);
    this.set(this.from + moved, this.to + moved);
  }

  all() {
    this.set(this.first, this.last);
  }
}
