// Chance that is the same everywhere: SplitMix64 (Steele, Lea and Flood 2014), used as amfast's
// engine uses it, so that the page visits units in the very order that the library does.

const GAMMA = 0x9e3779b97f4a7c15n;

const wrapped = (z) => BigInt.asUintN(64, z);

/** The finaliser of SplitMix64. */
function mix(z) {
  z = wrapped((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = wrapped((z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

/** Mix a number into a key. */
const mixed = (key, n) => mix(wrapped(key + (BigInt(n) + 1n) * GAMMA));

/** Number t of the stream that begins at `start`. */
const word = (start, t) => mix(wrapped(start + BigInt(t + 1) * GAMMA));

/** The key of a state of -1 and +1: 64 units at a time, the first in the lowest bit. */
function keyOf(state) {
  let key = 0n;
  for (let first = 0; first < state.length; first += 64) {
    let bits = 0n;
    const last = Math.min(first + 64, state.length);
    for (let i = last - 1; i >= first; i--) bits = (bits << 1n) | (state[i] > 0 ? 1n : 0n);
    key = mixed(key, bits);
  }
  return key;
}

/** The numbers 0 .. n - 1, shuffled by Fisher and Yates from the end. */
function shuffled(n, start) {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let t = 0, i = n - 1; i > 0; t++, i--) {
    const j = Number(((word(start, t) >> 32n) * BigInt(i + 1)) >> 32n);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** In which order a sweep takes the units, given the seed and the cue it all began with. */
const orderOfSweep = (n, seed, key, sweep) => shuffled(n, mixed(mixed(mixed(BigInt(seed), 0), key), sweep));

/** `rows` random patterns of -1 and +1: row r takes its bits from the words of its own, lowest first. */
function randomPatterns(rows, width, seed) {
  const start = mixed(0n, seed);
  const words = Math.ceil(width / 64);
  return Array.from({ length: rows }, (_, row) => {
    const pattern = new Int8Array(width);
    for (let w = 0; w < words; w++) {
      const bits = word(start, row * words + w);
      const halves = [Number(bits & 0xffffffffn), Number(bits >> 32n)];
      for (let i = 64 * w; i < Math.min(64 * w + 64, width); i++) {
        pattern[i] = (halves[(i >> 5) & 1] >>> (i & 31)) & 1 ? 1 : -1;
      }
    }
    return pattern;
  });
}

const drawn = new Map();

/** `randomPatterns`, kept for the next time. */
function drawnOnce(rows, width, seed) {
  const key = `${rows} ${width} ${seed}`;
  if (!drawn.has(key)) drawn.set(key, randomPatterns(rows, width, seed));
  return drawn.get(key);
}

/** A copy of a pattern in which exactly `count` units are flipped. */
function flipped(pattern, count, seed) {
  const copy = Int8Array.from(pattern);
  for (const i of shuffled(pattern.length, mixed(0n, seed)).subarray(0, count)) copy[i] = -copy[i];
  return copy;
}
