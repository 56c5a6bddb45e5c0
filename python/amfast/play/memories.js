// Five memories of patterns of -1 and +1. Each is made of what is stored and has `recall`, which
// lets a cue settle and returns every step on the way:
//
//   frames     [{at, state, energy, active}]  at: sweeps done; state: numbers in -1 .. +1
//   energies   of the cue and after every sweep; empty where there is no energy
//   sweeps     the last one, which changed nothing, included
//   converged  whether it came to rest
//
// Equations, orders and ties are those of the Python library amfast; a test compares the two.

const MOST_SWEEPS = 100;
const MOST_READS = 10;
const FRAMES_A_SWEEP = 14;

/** Patterns one beside the other: all of unit 0, then all of unit 1, and so on. */
function columnsOf(patterns, Type = Int8Array) {
  const [k, d] = [patterns.length, patterns[0].length];
  const columns = new Type(k * d);
  for (let i = 0; i < d; i++) for (let mu = 0; mu < k; mu++) columns[i * k + mu] = patterns[mu][i];
  return columns;
}

// -- units that flip one by one -------------------------------------------------------------------

/**
 * An energy of overlaps o = x . s with the stored patterns, E = -scale * sum F(o).
 * The field of a unit is half of what E gains if it goes from +1 to -1:
 * h = sum of x_i (F(r + 1) - F(r - 1)) / 2, r the overlap without the unit itself.
 */
class OverlapField {
  /** F takes and gives BigInt: tables are exact integers, rounded once. */
  constructor(patterns, F, scale) {
    this.k = patterns.length;
    this.d = patterns[0].length;
    this.columns = columnsOf(patterns);
    this.scale = scale;
    this.doubled = (r) => F(BigInt(r + 1)) - F(BigInt(r - 1));
    this.gain = Float64Array.from({ length: this.d }, (_, a) => Number(this.doubled(2 * a - this.d + 1)) / 2);
    this.worth = Float64Array.from({ length: this.d + 1 }, (_, a) => Number(F(BigInt(2 * a - this.d))));
    this.overlaps = new Int32Array(this.k);
  }

  load(state) {
    const { k, columns, overlaps } = this;
    overlaps.fill(0);
    for (let i = 0; i < this.d; i++) {
      const s = state[i];
      for (let mu = 0, at = i * k; mu < k; mu++, at++) overlaps[mu] += columns[at] * s;
    }
  }

  /** The field of unit i, now s; exactly 0 where it is a tie. */
  field(i, s) {
    const { k, columns, overlaps, gain } = this;
    const top = this.d - 1;
    let [sum, magnitude] = [0, 0];
    for (let mu = 0, at = i * k; mu < k; mu++, at++) {
      const x = columns[at];
      const term = gain[(overlaps[mu] - x * s + top) >> 1];
      sum += x * term;
      magnitude += Math.abs(term);
    }
    // Rounding may have decided: once more in integers.
    return Math.abs(sum) > 1e-9 * magnitude ? sum : Number(this.exact(i, s));
  }

  exact(i, s) {
    let sum = 0n;
    for (let mu = 0; mu < this.k; mu++) {
      const x = this.columns[i * this.k + mu];
      sum += BigInt(x) * this.doubled(this.overlaps[mu] - x * s);
    }
    return sum;
  }

  flip(i, s) {
    for (let mu = 0, at = i * this.k; mu < this.k; mu++, at++) this.overlaps[mu] -= 2 * s * this.columns[at];
  }

  energy() {
    let sum = 0;
    for (const o of this.overlaps) sum += this.worth[(o + this.d) >> 1];
    return -this.scale * sum;
  }
}

/**
 * The projection rule of Personnaz, Guyon and Dreyfus 1985: W = Q^T Q without its diagonal, the rows
 * of Q an orthonormal basis of what is stored.
 */
class ProjectionField {
  constructor(patterns) {
    const basis = [];
    for (const pattern of patterns) {
      const q = Float64Array.from(pattern);
      const size = Math.hypot(...q);
      // Twice: once leaves rounding errors of what was large.
      for (const b of [...basis, ...basis]) axpy(-dot(b, q), b, q);
      const left = Math.hypot(...q);
      if (left > 1e-9 * size) basis.push(q.map((x) => x / left));
    }
    this.k = basis.length;
    this.d = patterns[0].length;
    this.basis = basis;
    this.columns = columnsOf(basis, Float64Array);
    this.diagonal = Float64Array.from({ length: this.d }, (_, i) => basis.reduce((sum, q) => sum + q[i] * q[i], 0));
  }

  load(state) {
    this.parts = Float64Array.from(this.basis, (q) => dot(q, state));
    this.energyOfDiagonal = this.diagonal.reduce((sum, w) => sum + w, 0) / 2;
  }

  field(i, s) {
    let sum = -this.diagonal[i] * s;
    for (let k = 0, at = i * this.k; k < this.k; k++, at++) sum += this.columns[at] * this.parts[k];
    return Math.abs(sum) > 1e-11 ? sum : 0;
  }

  flip(i, s) {
    for (let k = 0, at = i * this.k; k < this.k; k++, at++) this.parts[k] -= 2 * s * this.columns[at];
  }

  energy() {
    return this.energyOfDiagonal - dot(this.parts, this.parts) / 2;
  }
}

/** Take the units one by one, in a new random order every sweep, until a sweep flips none. */
function settle(field, cue, seed) {
  const state = Int8Array.from(cue);
  const key = keyOf(state);
  const every = Math.ceil(state.length / FRAMES_A_SWEEP);
  field.load(state);
  const frames = [{ at: 0, state: Int8Array.from(state), energy: field.energy() }];
  const energies = [frames[0].energy];
  for (let sweep = 0; sweep < MOST_SWEEPS; sweep++) {
    let flips = 0;
    orderOfSweep(state.length, seed, key, sweep).forEach((i, place) => {
      const h = field.field(i, state[i]);
      if (h * state[i] < 0) {
        field.flip(i, state[i]);
        state[i] = -state[i];
        flips++;
      }
      if ((place + 1) % every === 0 || place + 1 === state.length) {
        const at = sweep + (place + 1) / state.length;
        frames.push({ at, state: Int8Array.from(state), energy: field.energy() });
      }
    });
    energies.push(field.energy());
    if (flips === 0) return { frames, energies, sweeps: sweep + 1, converged: true };
  }
  return { frames, energies, sweeps: MOST_SWEEPS, converged: false };
}

/** Hopfield 1982, Hebb's rule: W = sum x x^T / d without its diagonal. */
function hopfieldField(patterns) {
  const d = patterns[0].length;
  // Half of the squares, of which each takes d / 2 for the diagonal; their differences are even.
  return new OverlapField(patterns, (o) => (o * o - BigInt(d)) / 2n, 1 / d);
}

/** Krotov and Hopfield 2016: E = -sum o^n. */
const denseField = (patterns, n) => new OverlapField(patterns, (o) => o ** BigInt(n), 1);


// -- real states ----------------------------------------------------------------------------------

/** Ramsauer et al. 2021: v <- sum softmax(beta k . v) k, the keys scaled to length 1. */
function modern(patterns, beta) {
  const d = patterns[0].length;
  const keys = patterns.map((pattern) => Float64Array.from(pattern, (x) => x / Math.sqrt(d)));

  /** Weights of the keys, and the energy of the state. */
  function look(v) {
    const scores = keys.map((key) => beta * dot(key, v));
    const top = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - top));
    const sum = weights.reduce((total, w) => total + w, 0);
    const lse = top + Math.log(sum);
    const energy = (Math.log(keys.length) - lse) / beta + (dot(v, v) + 1) / 2;
    return { weights: weights.map((w) => w / sum), energy };
  }

  function recall(cue) {
    let v = Float64Array.from(cue, (x) => x / Math.sqrt(d));
    const frames = [];
    const energies = [];
    const show = (at, energy) => {
      frames.push({ at, state: v.map((x) => x * Math.sqrt(d)), energy });
      energies.push(energy);
    };
    for (let step = 1; step <= MOST_SWEEPS; step++) {
      const { weights, energy } = look(v);
      show(step - 1, energy);
      const next = new Float64Array(d);
      weights.forEach((w, mu) => axpy(w, keys[mu], next));
      const change = next.reduce((most, x, i) => Math.max(most, Math.abs(x - v[i])), 0);
      v = next;
      if (change <= 1e-6) {
        show(step, look(v).energy);
        return { frames, energies, sweeps: step, converged: true };
      }
    }
    show(MOST_SWEEPS, look(v).energy);
    return { frames, energies, sweeps: MOST_SWEEPS, converged: false };
  }
  return { recall, look };
}

// -- counters at random places --------------------------------------------------------------------

/** Pack a pattern into words of 32 bits. */
function packed(pattern) {
  const words = new Uint32Array(Math.ceil(pattern.length / 32));
  pattern.forEach((x, i) => {
    if (x > 0) words[i >> 5] |= 1 << (i & 31);
  });
  return words;
}

function ones(x) {
  x -= (x >>> 1) & 0x55555555;
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return (((x + (x >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}

/** Kanerva 1988: words are written into the counters of all locations within a radius of their address. */
class Kanerva {
  constructor(locations, radius, width) {
    this.locations = locations.map(packed);
    this.radius = radius;
    this.counters = locations.map(() => new Int16Array(width));
    this.width = width;
  }

  active(address) {
    const words = packed(address);
    const found = [];
    this.locations.forEach((location, h) => {
      let distance = 0;
      for (let w = 0; w < words.length; w++) distance += ones(location[w] ^ words[w]);
      if (distance <= this.radius) found.push(h);
    });
    return found;
  }

  write(address, data) {
    for (const h of this.active(address)) axpy(1, data, this.counters[h]);
  }

  /** The signs of the sums over the active locations; a bit whose sum is 0 stays as in `otherwise`. */
  read(address, otherwise) {
    const active = this.active(address);
    const sums = new Int32Array(this.width);
    for (const h of active) axpy(1, this.counters[h], sums);
    return { word: Int8Array.from(sums, (sum, i) => Math.sign(sum) || otherwise[i]), active: active.length };
  }
}

/** Words at their own addresses, read until a word reads itself. */
function sdm(patterns, radius, locations) {
  const memory = new Kanerva(locations, radius, patterns[0].length);
  for (const pattern of patterns) memory.write(pattern, pattern);

  function recall(cue) {
    let state = Int8Array.from(cue);
    const frames = [{ at: 0, state, active: memory.active(state).length }];
    for (let step = 1; step <= MOST_READS; step++) {
      const { word: next, active } = memory.read(state, state);
      const still = active === 0 || next.every((x, i) => x === state[i]);
      state = next;
      frames.push({ at: step, state, active });
      if (still) return { frames, energies: [], sweeps: step, converged: active > 0 };
    }
    return { frames, energies: [], sweeps: MOST_READS, converged: false };
  }
  return { recall };
}

// -- arithmetic -----------------------------------------------------------------------------------

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** Add a multiple of x to y. */
function axpy(a, x, y) {
  for (let i = 0; i < x.length; i++) y[i] += a * x[i];
}

/** x . y / d: 1 for equal patterns, -1 for inverted ones. */
const overlap = (x, y) => dot(x, y) / x.length;

const flipping = (field) => ({ recall: (cue, seed = 0) => settle(field, cue, seed) });

const MEMORIES = {
  hopfield: (patterns) => flipping(hopfieldField(patterns)),
  projection: (patterns) => flipping(new ProjectionField(patterns)),
  dense: (patterns, n) => flipping(denseField(patterns, n)),
  modern,
  sdm: (patterns, radius) => sdm(patterns, radius, locationsOf(patterns[0].length)),
};
const LOCATIONS = { count: 2000, seed: 1988 };

/** Random locations of the sparse distributed memory. */
const locationsOf = (width) => drawnOnce(LOCATIONS.count, width, LOCATIONS.seed);

/** A memory by its name, with its one parameter, that holds some patterns. */
function memoryOf(kind, parameter, patterns) {
  return MEMORIES[kind](patterns, parameter);
}
