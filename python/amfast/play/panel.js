// One of the two memories side by side: which it is, what it recalled, and how that is shown.

const KINDS = {
  hopfield: {
    name: "Hopfield (Hebb)",
    trace: "Energy",
    formula: "W = Σ x xᵀ / d without its diagonal, E = −½ sᵀ W s. Random patterns: 0.138 d of them (Hopfield 1982; Amit, " +
      "Gutfreund and Sompolinsky 1985).",
  },
  projection: {
    name: "Hopfield (projection)",
    trace: "Energy",
    formula: "W projects on what is stored, so that pictures that are alike do not disturb each other; with d of them everything " +
      "is a memory and nothing is recalled (Personnaz, Guyon and Dreyfus 1985).",
  },
  dense: {
    name: "Dense (power n)",
    trace: "Energy",
    said: (n) => `power n = ${n}`,
    formula: "E = −Σ oⁿ; n = 2 is Hebb’s rule. About dⁿ⁻¹ / (2 (2n−3)!! ln d) patterns (Krotov and Hopfield 2016).",
  },
  modern: {
    name: "Modern (softmax)",
    trace: "Energy",
    said: (beta) => `sharpness β = ${beta}`,
    formula: "v ← Σ softmax(β k · v) k, keys k = x / √d; a step of attention. A small β blends, a large one picks the nearest; " +
      "capacity grows exponentially with d (Ramsauer et al. 2021).",
  },
  sdm: {
    name: "Sparse distributed",
    trace: "Places that answer (there is no energy)",
    said: (radius) => `radius ${radius} of 784`,
    formula: "2,000 random places; a word is added to the counters of those within the radius, and read as the sign of their sum, " +
      "up to ten times (Kanerva 1988). Pictures at their own addresses, which are no random words, are not what it is best at.",
  },
};
const STARTS = { dense: 4, modern: 16, sdm: 366 };
const CLOSE = 0.05; // of the pixels, that may be wrong in an answer that is nearly right

/** What became of a recall, for a person: [class of the text, text]. */
function verdictOf(run, cue, stored, names, asked) {
  const end = run.frames.at(-1).state;
  const signs = Int8Array.from(end, (x, i) => Math.sign(x) || cue[i]);
  const likeness = stored.map((pattern) => overlap(signs, pattern));
  const order = likeness.map((_, mu) => mu).sort((p, q) => likeness[q] - likeness[p]);
  const best = order[0];
  const wrong = Math.round(((1 - likeness[best]) / 2) * cue.length);
  const grey = end.reduce((sum, x) => sum + Math.abs(x), 0) / end.length < 0.97;
  const share = (mu) => `${names[mu]} (${likeness[mu].toFixed(2)})`;
  if (run.frames[0].active === 0) return ["bad", "✗ No place answers: the radius is too small."];
  if (wrong <= CLOSE * cue.length) {
    const other = asked !== null && names[best] !== asked ? ", not what was asked for" : "";
    const mark = other ? "✗" : wrong === 0 && !grey ? "✓" : "≈";
    const how = wrong ? `${wrong} ${wrong === 1 ? "pixel" : "pixels"} wrong` : grey ? "blended with others" : "every pixel";
    return [other ? "bad" : mark === "✓" ? "good" : "fair", `${mark} ${names[best]}, ${how}${other}.`];
  }
  const worst = order.at(-1);
  if (likeness[worst] <= 2 * CLOSE - 1) return ["bad", `✗ The negative of ${names[worst]}.`];
  return ["bad", `✗ No stored picture; most like ${order.slice(0, 2).map(share).join(" and ")}.`];
}

class Panel {
  /** `changed` is called when another memory or parameter was chosen. */
  constructor(letter, place, side, parameters, changed) {
    this.color = `var(--${letter})`;
    this.parameters = parameters;
    this.changed = changed;
    const title = `Memory ${letter.toUpperCase()}`;
    const choices = Object.entries(KINDS).map(([value, { name }]) => html("option", { value }, name));
    this.kindChoice = html("select", { "aria-label": title }, ...choices);
    this.slider = html("input", { type: "range", min: 0, step: 1 });
    this.said = html("span");
    this.sliderLabel = html("label", { className: "range" }, this.said, this.slider);
    this.canvas = html("canvas", { width: side, height: side, role: "img" });
    this.verdict = html("p", { className: "verdict", role: "status" });
    this.traceTitle = html("h3");
    this.trace = html("div", { className: "chart", role: "img" });
    this.bars = html("div", { className: "chart", role: "img" });
    place.append(
      html(
        "div", { className: `panel ${letter}`, role: "group", "aria-label": title },
        this.kindChoice, this.sliderLabel, this.canvas, this.verdict, this.traceTitle, this.trace,
        html("h3", {}, "Likeness to each stored picture"), this.bars,
      ),
    );
    this.kindChoice.addEventListener("change", () => this.choose(this.kindChoice.value));
    this.slider.addEventListener("input", () => {
      this.set({ kind: this.model.kind, parameter: this.parameters[this.model.kind][this.slider.value] });
      this.changed();
    });
  }

  choose(kind) {
    this.set(kind in STARTS ? { kind, parameter: STARTS[kind] } : { kind });
    this.changed();
  }

  /** Show a model as the one that was chosen. */
  set(model) {
    this.model = model;
    const { said, trace } = KINDS[model.kind];
    const choices = this.parameters[model.kind];
    this.kindChoice.value = model.kind;
    this.slider.hidden = !choices;
    this.said.textContent = said ? said(model.parameter) : "";
    this.traceTitle.textContent = trace;
    if (choices) {
      this.slider.max = choices.length - 1;
      this.slider.value = choices.indexOf(model.parameter);
      this.slider.setAttribute("aria-valuetext", said(model.parameter));
    }
  }

  /** Recall a cue. `asked` is the name of the picture it came from, or null. */
  run(cue, seed, stored, names, urls, asked) {
    Object.assign(this, { stored, urls });
    this.recalled = memoryOf(this.model.kind, this.model.parameter, stored).recall(cue, seed);
    this.outcome = verdictOf(this.recalled, cue, stored, names, asked);
    this.lowest = Math.min(...stored.map((pattern) => overlap(this.recalled.frames.at(-1).state, pattern)));
    this.points = this.recalled.frames.map(({ at, energy, active }) => [at, energy ?? active]);
  }

  get sweeps() {
    return this.recalled.sweeps;
  }

  /** Show the state after so many sweeps. */
  show(time) {
    const { frames, sweeps, converged } = this.recalled;
    const frame = frames.findLast(({ at }) => at <= time + 1e-9);
    const likeness = this.stored.map((pattern) => overlap(frame.state, pattern));
    drawPicture(this.canvas, frame.state);
    drawTrace(this.trace, this.points, time, this.color);
    drawBars(this.bars, likeness, this.lowest, this.urls, this.color);
    const value = short(frame.energy ?? frame.active);
    this.trace.setAttribute("aria-label", `${KINDS[this.model.kind].trace}: ${value} after ${short(frame.at)} of ${sweeps} sweeps`);
    this.bars.setAttribute("aria-label", `Overlaps with the stored pictures, the largest ${Math.max(...likeness).toFixed(2)}`);
    this.canvas.setAttribute("aria-label", `What ${KINDS[this.model.kind].name} recalls`);
    const done = time >= sweeps;
    // Said once, when it is there: what changes with every frame would be read out with every frame.
    const [kind, text] = done ? this.outcome : ["", ""];
    const rest = done && !converged ? " It has not come to rest." : "";
    if (this.verdict.textContent !== text + rest) this.verdict.textContent = text + rest;
    this.verdict.className = `verdict ${kind}`;
  }
}
