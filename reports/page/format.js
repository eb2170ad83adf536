// Times and numbers as people read them, and the ticks of an axis.

export function duration(ns) {
  if (ns == null || !(ns >= 0)) return "–";
  const [unit, size] = ns >= 1e9 ? ["s", 1e9] : ns >= 1e6 ? ["ms", 1e6] : ns >= 1e3 ? ["µs", 1e3] : ["ns", 1];
  const number = ns / size;
  return `${number >= 100 || size === 1 ? number.toFixed(0) : number >= 10 ? number.toFixed(1) : number.toFixed(2)} ${unit}`;
}

export const number = (n) => Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");

// A step of 1, 2 or 5 times a power of ten, of which `range` has at most `most`.
export function step(range, most) {
  if (!(range > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(range / most));
  for (const times of [1, 2, 5]) if (range / (power * times) <= most * (1 + 1e-9)) return power * times;
  return power * 10;
}

// [{at, text}] between two times (ns, or events where there are no times).
export function ticks(from, to, most, timed) {
  const by = Math.max(step(to - from, most), timed ? 0 : 1), found = [];
  for (let k = Math.ceil(from / by - 1e-9); k * by <= to; k++) found.push({ at: k * by, text: moment(k * by, by, timed) });
  return found;
}

// A moment, with as many digits as the step needs.
export function moment(ns, by, timed = true) {
  if (!timed) return number(ns);
  const [unit, size] = by >= 1e8 || ns >= 1e10 ? ["s", 1e9] : by >= 1e5 ? ["ms", 1e6] : ["µs", 1e3];
  const digits = Math.max(0, Math.min(9, Math.ceil(-Math.log10(by / size) - 1e-9)));
  return `${(ns / size).toFixed(digits)} ${unit}`;
}
