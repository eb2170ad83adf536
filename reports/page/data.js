// What page_data.c packed, as typed arrays: its header says what each column holds.

export const OK = 0, FAIL = 1, INFO = 2, OPEN = 3;
export const OUTCOMES = ["ok", "fail", "info", "never completed"];

async function inflate(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Numbers in groups of seven bits, the lowest first. Beyond 2^31 they are no longer bit operations.
export function varints(bytes, out) {
  let at = 0;
  for (let i = 0; i < out.length; i++) {
    let byte = bytes[at++], number = byte & 127, scale = 128;
    while (byte > 127) {
      byte = bytes[at++];
      number += (byte & 127) * scale;
      scale *= 128;
    }
    out[i] = number;
  }
  return out;
}

function times(columns, header, model) {
  const { count } = model, quantum = header["quantum-ns"], from = header["from-ns"], to = header["to-ns"];
  const begin = varints(columns.begin, new Float64Array(count));
  const end = new Float64Array(count);
  if (columns.duration) varints(columns.duration, end);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += begin[i];
    begin[i] = from + sum * quantum;
    if (!columns.duration) {
      const high = columns["duration-high"][i], low = columns["duration-low"][i];
      end[i] = high === 0 ? low : (64 + low) * 2 ** (high - 1);
    }
    end[i] = model.outcome[i] === OPEN ? to : begin[i] + end[i] * quantum;
  }
  return { begin, end };
}

// The operations of each lane, in order: those of lane k are byLane[laneStart[k]] and on.
function group(model) {
  const start = new Uint32Array(model.laneCount + 1), place = new Uint32Array(model.laneCount);
  for (let i = 0; i < model.count; i++) start[model.lane[i] + 1]++;
  for (let k = 0; k < model.laneCount; k++) start[k + 1] += start[k];
  place.set(start.subarray(0, model.laneCount));
  const byLane = new Uint32Array(model.count);
  for (let i = 0; i < model.count; i++) byLane[place[model.lane[i]]++] = i;
  return { laneStart: start, byLane };
}

// By place in byLane: until when its lane's operations so far last. Ascends, whatever a history from elsewhere holds.
function reach(model) {
  const reach = new Float64Array(model.count);
  for (let k = 0; k < model.laneCount; k++)
    for (let j = model.laneStart[k], most = -Infinity; j < model.laneStart[k + 1]; j++)
      reach[j] = most = Math.max(most, model.end[model.byLane[j]]);
  return reach;
}

// One process does one thing at a time: what rounding made overlap, ends where the next begins.
function clip(model) {
  const { byLane, laneStart, begin, end } = model;
  for (let k = 0; k < model.laneCount; k++)
    for (let j = laneStart[k]; j + 1 < laneStart[k + 1]; j++) {
      const i = byLane[j], next = byLane[j + 1];
      if (model.rounded && end[i] > begin[next] && model.process[i] === model.process[next]) end[i] = begin[next];
      // What never completed is not drawn over what the same worker did after it.
      if (model.outcome[i] === OPEN) end[i] = Math.min(end[i], begin[next]);
    }
}

function processes(columns, header, model) {
  const { lanes } = header, last = new Float64Array(model.laneCount);
  const process = new Int32Array(model.count), more = varints(columns.generation, new Float64Array(model.count));
  for (let i = 0; i < model.count; i++) {
    const k = model.lane[i];
    last[k] += more[i] % 2 === 1 ? -(more[i] - 1) / 2 : more[i] / 2;
    process[i] = lanes.folded ? last[k] * lanes.count + k : lanes.processes[k];
  }
  return process;
}

// Keys of an operation, as numbers from 1: keys[keyStart[i]] and on.
function keys(columns, model) {
  if (columns.key) {
    const start = new Uint32Array(model.count + 1);
    for (let i = 0; i <= model.count; i++) start[i] = i;
    return { keyStart: start, keys: varints(columns.key, new Uint32Array(model.count)) };
  }
  if (!columns["key-count"]) return { keyStart: null, keys: null };
  const counts = varints(columns["key-count"], new Uint32Array(model.count));
  const start = new Uint32Array(model.count + 1);
  for (let i = 0; i < model.count; i++) start[i + 1] = start[i] + counts[i];
  return { keyStart: start, keys: varints(columns.keys, new Uint32Array(start[model.count])) };
}

// Lines of a text, found when asked for: a million strings would be a burden.
function lines(bytes, near, which) {
  if (!bytes) return () => "";
  const starts = [0], decoder = new TextDecoder();
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === 10) starts.push(i + 1);
  let place = null;
  if (which === "near") {
    place = new Int32Array(near.length).fill(-1);
    for (let i = 0, n = 0; i < near.length; i++) if (near[i]) place[i] = n++;
  }
  return (i) => {
    const line = place ? place[i] : i;
    return line < 0 ? "" : decoder.decode(bytes.subarray(starts[line], starts[line + 1] - 1));
  };
}

// header and columns (bytes by name) to a model.
export function build(header, columns) {
  const count = header.count, laneCount = Math.max(1, header.lanes.count);
  const number = (name, type) => (columns[name] ? varints(columns[name], new type(count)) : null);
  const model = { header, count, laneCount, rounded: !columns.duration };
  model.outcome = columns.outcome;
  model.lane = number("lane", Uint16Array);
  model.f = number("f", Uint16Array);
  model.error = number("error", Uint16Array);
  model.weight = number("weight", Uint16Array);
  model.near = columns.near;
  model.process = processes(columns, header, model);
  Object.assign(model, times(columns, header, model), group(model), keys(columns, model));
  clip(model);
  model.reach = reach(model);
  model.value = lines(columns.value, model.near, header.values);
  return model;
}

export async function load(text) {
  const parts = text.trim().split("\n").map((line) => line.split(" "));
  const unpacked = await Promise.all(parts.map(([, base64]) => inflate(base64)));
  const columns = {};
  parts.forEach(([name], i) => (columns[name] = unpacked[i]));
  return build(JSON.parse(new TextDecoder().decode(columns.header)), columns);
}
