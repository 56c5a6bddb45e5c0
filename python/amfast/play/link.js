// The state of the page in its address, and back: what a link has to carry.

/** Bits of -1 and +1 as base64 that an address may hold; the first bit is the highest. */
function encodeBits(pattern) {
  let bytes = "";
  for (let i = 0; i < pattern.length; i += 8) {
    let byte = 0;
    for (let j = 0; j < 8; j++) byte = (byte << 1) | (pattern[i + j] > 0 ? 1 : 0);
    bytes += String.fromCharCode(byte);
  }
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** The pattern of so many bits, or null if the text is none. */
function decodeBits(text, width) {
  let bytes;
  try {
    bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return null;
  }
  if (bytes.length !== Math.ceil(width / 8)) return null;
  return Int8Array.from({ length: width }, (_, i) => ((bytes.charCodeAt(i >> 3) >> (7 - (i & 7))) & 1 ? 1 : -1));
}

/** `state`: {models: [{kind, parameter}], stored, picked, noise, seed, cue, own}. */
function hashOf(state) {
  const fields = {
    a: modelText(state.models[0]),
    b: modelText(state.models[1]),
    stored: state.stored,
    picked: state.picked,
    noise: state.noise,
    seed: state.seed,
    cue: encodeBits(state.cue),
    own: state.own.map(encodeBits).join("."),
  };
  return `#${new URLSearchParams(fields)}`;
}

const modelText = ({ kind, parameter }) => (parameter === undefined ? kind : `${kind}-${parameter}`);

/** What of a state an address says and may say; what it does not say is left out. */
function stateOf(hash, parameters, width) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const found = {};
  const models = ["a", "b"].map((name) => modelOf(fields.get(name), parameters));
  if (models.every(Boolean)) found.models = models;
  for (const name of ["stored", "picked", "noise", "seed"]) {
    const text = fields.get(name);
    if (text !== null && /^-?\d{1,9}$/.test(text)) found[name] = Number(text);
  }
  const cue = decodeBits(fields.get("cue") ?? "", width);
  if (cue) found.cue = cue;
  const own = (fields.get("own") ?? "").split(".").map((text) => decodeBits(text, width));
  found.own = own.filter(Boolean);
  return found;
}

function modelOf(text, parameters) {
  const [kind, number] = (text ?? "").split("-");
  if (!Object.hasOwn(MEMORIES, kind)) return null;
  const choices = parameters[kind];
  if (!choices) return { kind };
  return choices.includes(Number(number)) ? { kind, parameter: Number(number) } : null;
}
