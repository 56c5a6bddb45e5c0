// How many random patterns a memory holds: the share of those stored that one update leaves alone.

const PROBES = 40;
const PATTERNS_SEED = 1;
const DATA_SEED = 2;

/**
 * Functions `share(k)`, by kind, which promise a number: of the first k patterns, how many have no bit that would change.
 *
 * The last two keep random words under random names: a word under its own name is drawn to itself,
 * by all that is stored, however much that is.
 */
const SHARES = {
  hopfield: (patterns) => (k) => shareOfQuiet(hopfieldField(patterns.slice(0, k)), patterns, k),
  projection: (patterns) => (k) => shareOfQuiet(new ProjectionField(patterns.slice(0, k)), patterns, k),
  dense: (patterns, n) => (k) => shareOfQuiet(denseField(patterns.slice(0, k), n), patterns, k),
  modern: (patterns, beta) => {
    const data = drawnOnce(patterns.length, patterns[0].length, DATA_SEED);
    return (k) => {
      const names = columnsOf(patterns.slice(0, k));
      const words = columnsOf(data.slice(0, k));
      return shareOf(patterns, k, (x, i) => softmaxReads(names, words, x, beta, data[i]));
    };
  },
  sdm: (patterns, radius) => {
    const width = patterns[0].length;
    const data = drawnOnce(patterns.length, width, DATA_SEED);
    const memory = new Kanerva(locationsOf(width), radius, width);
    let written = 0;
    return (k) => {
      for (; written < k; written++) memory.write(patterns[written], data[written]);
      return shareOf(patterns, k, (x, i) => {
        const inverse = data[i].map((bit) => -bit); // what is undecided counts as wrong
        return memory.read(x, inverse).word.every((bit, j) => bit === data[i][j]);
      });
    };
  },
};

async function shareOf(patterns, k, isKept) {
  const probes = patterns.slice(0, Math.min(k, PROBES));
  let kept = 0;
  for (const [i, probe] of probes.entries()) {
    await breathe();
    kept += isKept(probe, i);
  }
  return kept / probes.length;
}

function shareOfQuiet(field, patterns, k) {
  return shareOf(patterns, k, (x) => {
    field.load(x);
    return x.every((s, i) => field.field(i, s) * s >= 0);
  });
}

let breathed = 0;

/** Let the page do other things, if it could not for a while. */
async function breathe() {
  if (performance.now() - breathed < 12) return;
  await new Promise((resolve) => setTimeout(resolve, 0));
  breathed = performance.now();
}

/** Whether the signs of one softmax read at x are the word; names are scaled to length 1. */
function softmaxReads(names, words, x, beta, word) {
  const d = x.length;
  const k = names.length / d;
  const weights = new Float64Array(k);
  for (let i = 0, at = 0; i < d; i++) for (let mu = 0; mu < k; mu++, at++) weights[mu] += names[at] * x[i];
  for (let mu = 0; mu < k; mu++) weights[mu] = Math.exp(beta * (weights[mu] / d - 1));
  for (let i = 0, at = 0; i < d; i++) {
    let sum = 0;
    for (let mu = 0; mu < k; mu++, at++) sum += words[at] * weights[mu];
    if (sum * word[i] <= 0) return false;
  }
  return true;
}

/** Loads to measure at: about three in each doubling. */
function loadsUpTo(most) {
  const loads = [];
  for (let k = 2; k <= most; k = Math.max(k + 1, Math.round(k * 1.26))) loads.push(k);
  return loads;
}

/**
 * Store more and more random patterns until nothing is left of them.
 * `told(load, share)` hears of every measurement; it returns false to stop.
 */
async function storeUntilItBreaks(kind, parameter, units, most, told) {
  const share = SHARES[kind](drawnOnce(most, units, PATTERNS_SEED), parameter);
  let lost = 0;
  for (const load of loadsUpTo(most)) {
    const left = await share(load);
    lost = left === 0 ? lost + 1 : 0;
    if (told(load, left) === false || lost === 2) return;
  }
}

const SPOILT = 0.1; // of the pixels of a cue
const RIGHT = 0.95; // the overlap from which a picture came back

/** Store one picture after the other, and recall each from a spoilt one; as `storeUntilItBreaks`. */
async function storePictures(kind, parameter, pictures, told) {
  const cues = pictures.map((picture, i) => flipped(picture, Math.round(SPOILT * picture.length), i));
  for (let k = 1; k <= pictures.length; k++) {
    const stored = pictures.slice(0, k);
    const memory = memoryOf(kind, parameter, stored);
    const share = await shareOf(stored, k, (picture, i) => {
      return overlap(memory.recall(cues[i]).frames.at(-1).state, picture) >= RIGHT;
    });
    if (told(k, share) === false) return;
  }
}
