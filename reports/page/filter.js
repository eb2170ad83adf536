// Which operations are shown. A filter: {functions: Set or null, outcomes: Set or null, process: text, key: text,
// search: text}; what is empty or null lets all through.

const isNumber = /^-?\d+$/;

// Numbers of the keys that a text names: the key itself, or else all that contain it.
export function keysNamed(texts, wanted) {
  const exact = texts.indexOf(wanted);
  if (exact >= 0) return new Set([exact + 1]);
  const found = new Set();
  texts.forEach((text, i) => text.toLowerCase().includes(wanted.toLowerCase()) && found.add(i + 1));
  return found;
}

function keyTest(model, wanted) {
  if (!model.keys || wanted === "") return null;
  const numbers = keysNamed(model.header.keys || [], wanted);
  return (i) => {
    for (let j = model.keyStart[i]; j < model.keyStart[i + 1]; j++) if (numbers.has(model.keys[j])) return true;
    return false;
  };
}

// "3" is the process; "3*" whatever its worker did under other numbers, too.
function processTest(model, wanted) {
  const worker = wanted.endsWith("*"), digits = worker ? wanted.slice(0, -1) : wanted;
  if (wanted === "") return null;
  if (!isNumber.test(digits)) return () => false;
  const process = Number(digits), { lanes } = model.header;
  const lane = lanes.folded ? process % lanes.count : lanes.processes.indexOf(process);
  return worker ? (i) => model.lane[i] === lane : (i) => model.process[i] === process;
}

// A text is found in the value, the error, or the function's name; in nothing else is it worth the time.
function searchTest(model, wanted) {
  if (wanted === "") return null;
  const lower = wanted.toLowerCase(), has = (text) => text.toLowerCase().includes(lower);
  const functions = model.header.functions.map(has), errors = model.header.errors.map(has);
  const valued = model.header.values;
  return (i) =>
    functions[model.f[i]] || (model.error !== null && errors[model.error[i]]) ||
    (valued !== "none" && (valued === "all" || model.near[i] === 1) && has(model.value(i)));
}

// A byte an operation, 1 where it is shown, and how many are.
export function apply(model, filter) {
  const shown = new Uint8Array(model.count);
  const tests = [processTest(model, filter.process), keyTest(model, filter.key), searchTest(model, filter.search)];
  const costly = tests.filter((test) => test !== null);
  const functions = model.header.functions.map((_, i) => filter.functions === null || filter.functions.has(i));
  const outcomes = [0, 1, 2, 3].map((i) => filter.outcomes === null || filter.outcomes.has(i));
  let count = 0;
  for (let i = 0; i < model.count; i++) {
    if (!outcomes[model.outcome[i]] || !functions[model.f[i]]) continue;
    if (costly.length > 0 && !costly.every((test) => test(i))) continue;
    shown[i] = 1;
    count++;
  }
  return { shown, count };
}
