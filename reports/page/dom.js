// Elements, made of names, properties and children; texts are only ever texts.

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export const button = (text, title, press) => element("button", { type: "button", title, "aria-label": title, on: { click: press } }, text);

// Calls at most once in so many milliseconds, the last time after the last one.
export function calmly(act, ms) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, ms);
  };
}
