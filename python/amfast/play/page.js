// What a person can do here, and the state that it changes.

const NEARLY = 1 / FRAMES_A_SWEEP; // of a sweep: one step of the player
const SWEEPS_A_SECOND = 1.2;
const LONGEST = 5; // seconds, by which a long recall is over

function start() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const width = data.side ** 2;
  const bundled = data.pictures.map((text) => decodeBits(text.replaceAll("+", "-").replaceAll("/", "_"), width));

  // -- state --------------------------------------------------------------------------------------

  const beginning = {
    models: [{ kind: "hopfield" }, { kind: "dense", parameter: STARTS.dense }],
    stored: Math.min(14, bundled.length), picked: Math.min(5, bundled.length - 1), noise: 20, seed: 1, own: [],
  };
  const state = { ...beginning, ...stateOf(location.hash, data.parameters, width) };
  let pictures, names, urls;
  const panels = ["a", "b"].map((letter) => new Panel(letter, $("panels"), data.side, data.parameters, modelChanged));
  let [time, playing] = [0, 0];

  /** What depends on which pictures there are: drawings of one's own come first. */
  function gather() {
    pictures = [...state.own, ...bundled];
    names = [...state.own.map((_, i) => `Drawing ${state.own.length - i}`), ...data.names];
    urls = pictures.map((pattern) => {
      const canvas = html("canvas", { width: data.side, height: data.side });
      drawPicture(canvas, pattern);
      return canvas.toDataURL();
    });
    state.stored = clamp(state.stored, 1, pictures.length);
    state.picked = clamp(state.picked, -1, pictures.length - 1);
    state.noise = clamp(state.noise, 0, 50);
    $("stored").max = pictures.length;
    $("thumbs").replaceChildren(
      ...pictures.map((pattern, i) => {
        const canvas = html("canvas", { width: data.side, height: data.side });
        drawPicture(canvas, pattern);
        return html("button", { title: names[i], onclick: () => pick(i) }, canvas);
      }),
    );
  }

  /** Recall the cue anew, after anything that matters has changed, and play it. */
  function renew(play = true) {
    const stored = pictures.slice(0, state.stored);
    const asked = state.picked >= 0 && state.picked < state.stored ? names[state.picked] : null;
    for (const panel of panels) panel.run(state.cue, state.seed, stored, names, urls, asked);
    $("stored").value = state.stored;
    $("stored-said").textContent = `${state.stored} of ${pictures.length}`;
    $("noise").value = state.noise;
    $("noise-said").textContent = `${state.noise} %`;
    [...$("thumbs").children].forEach((button, i) => {
      const held = i < state.stored;
      button.className = held ? "" : "out";
      button.setAttribute("aria-pressed", i === state.picked);
      button.setAttribute("aria-label", `${names[i]}, ${held ? "stored" : "not stored"}`);
    });
    $("restore").disabled = state.picked < 0;
    $("time").max = lastSweep();
    $("time").step = NEARLY;
    try {
      history.replaceState(null, "", hashOf(state));
    } catch {
      // Within another page, as in a notebook, there is no address to write to.
    }
    drawCue();
    if (play) playFromStart();
    else goTo(lastSweep());
  }

  const lastSweep = () => Math.max(...panels.map((panel) => panel.sweeps));
  const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

  function modelChanged() {
    state.models = panels.map((panel) => panel.model);
    renew();
    measure();
  }

  // -- time ---------------------------------------------------------------------------------------

  function goTo(when) {
    time = clamp(when, 0, lastSweep());
    $("time").value = time;
    const said = `${time.toFixed(1)} of ${lastSweep()}`;
    $("time-said").textContent = said;
    $("time").setAttribute("aria-valuetext", said);
    $("play").textContent = playing ? "Pause" : "Recall";
    for (const panel of panels) panel.show(time);
  }

  function stop() {
    cancelAnimationFrame(playing);
    playing = 0;
  }

  function playFromStart() {
    stop();
    if (calm.matches) return goTo(lastSweep());
    let before = null;
    const speed = Math.max(SWEEPS_A_SECOND, lastSweep() / LONGEST);
    const tick = (now) => {
      const next = time + ((now - (before ?? now)) / 1000) * speed;
      before = now;
      playing = next < lastSweep() ? requestAnimationFrame(tick) : 0;
      goTo(next);
    };
    playing = requestAnimationFrame(tick);
    goTo(0);
  }

  function step(by) {
    stop();
    goTo(Math.round((time + by) / NEARLY) * NEARLY);
  }

  $("play").onclick = () => {
    if (!playing) return playFromStart();
    stop();
    goTo(time);
  };
  $("back").onclick = () => step(-NEARLY);
  $("forth").onclick = () => step(NEARLY);
  $("time").oninput = () => {
    stop();
    goTo(Number($("time").value));
  };

  // -- the cue ------------------------------------------------------------------------------------

  let cursor = null; // [row, column] while the keyboard draws

  function drawCue() {
    drawPicture($("cue"), state.cue);
    if (!cursor) return;
    const pen = $("cue").getContext("2d");
    pen.fillStyle = "#e0457b";
    pen.fillRect(cursor[1], cursor[0], 1, 1);
  }

  /** Change the cue by a function of a pixel's row, column and value. */
  function change(rule) {
    state.cue = state.cue.map((x, i) => rule(Math.floor(i / data.side), i % data.side, x));
    renew();
  }

  /** Take a picture as the cue, as spoilt as the slider says. */
  function pick(i) {
    state.picked = i;
    state.seed++;
    state.cue = noisy(pictures[i]);
    renew();
  }

  const noisy = (pattern) => flipped(pattern, Math.round((state.noise / 100) * width), state.seed);
  const brush = () => Number(document.querySelector("input[name=brush]:checked").value);

  $("noise").oninput = () => {
    state.noise = Number($("noise").value);
    $("noise-said").textContent = `${state.noise} %`;
  };
  $("noise").onchange = () => (state.picked >= 0 ? pick(state.picked) : renew(false));
  $("add-noise").onclick = () => {
    state.seed++;
    state.cue = noisy(state.cue);
    renew();
  };
  $("hide-lower").onclick = () => change((row, _, x) => (row >= data.side / 2 ? -1 : x));
  $("hide-left").onclick = () => change((_, column, x) => (column < data.side / 2 ? -1 : x));
  $("invert").onclick = () => change((_row, _column, x) => -x);
  $("restore").onclick = () => {
    state.cue = Int8Array.from(pictures[state.picked]);
    renew();
  };
  $("clear").onclick = () => {
    state.picked = -1;
    change(() => -1);
  };

  /** Paint a square of two by two pixels. */
  function paint(row, column) {
    for (const [r, c] of [[row, column], [row + 1, column], [row, column + 1], [row + 1, column + 1]]) {
      if (r >= 0 && c >= 0 && r < data.side && c < data.side) state.cue[r * data.side + c] = brush();
    }
    drawCue();
  }

  let last = null; // where the pointer was while it draws
  const pixelOf = (event) => {
    const box = $("cue").getBoundingClientRect();
    const along = (x, from, length) => Math.floor(((x - from) / length) * data.side - 0.5);
    return [along(event.clientY, box.top, box.height), along(event.clientX, box.left, box.width)];
  };
  $("cue").onpointerdown = (event) => {
    $("cue").setPointerCapture(event.pointerId);
    last = pixelOf(event);
    paint(...last);
  };
  $("cue").onpointermove = (event) => {
    if (!last) return;
    const now = pixelOf(event);
    const steps = Math.max(1, ...now.map((x, axis) => Math.abs(x - last[axis])));
    for (let s = 1; s <= steps; s++) paint(...now.map((x, axis) => Math.round(last[axis] + ((x - last[axis]) * s) / steps)));
    last = now;
  };
  $("cue").onpointerup = $("cue").onpointercancel = () => {
    last = null;
    renew();
  };
  const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  $("cue").onkeydown = (event) => {
    const middle = data.side / 2;
    const [row, column] = cursor ?? [middle, middle];
    if (event.key in MOVES) {
      const [down, right] = MOVES[event.key];
      cursor = [clamp(row + down, 0, data.side - 1), clamp(column + right, 0, data.side - 1)];
      drawCue();
    } else if (event.key === " " || event.key === "Enter") {
      cursor = [row, column];
      paint(row, column);
      renew(false);
    } else return;
    event.preventDefault();
    const now = state.cue[cursor[0] * data.side + cursor[1]] > 0 ? "white" : "black";
    $("cue-said").textContent = `Row ${cursor[0] + 1}, column ${cursor[1] + 1}: ${now}`;
  };
  $("cue").onblur = () => {
    cursor = null;
    drawCue();
  };

  // -- what is stored -----------------------------------------------------------------------------

  $("stored").oninput = () => {
    state.stored = Number($("stored").value);
    renew(false);
  };
  $("keep").onclick = () => {
    const twin = pictures.findIndex((pattern) => Math.abs(overlap(pattern, state.cue)) === 1);
    if (twin >= 0) {
      $("cue-said").textContent = `This is ${names[twin]} already`;
      return;
    }
    state.own.unshift(Int8Array.from(state.cue));
    state.stored++;
    state.picked = 0;
    gather();
    renew();
  };

  // -- capacity -----------------------------------------------------------------------------------

  const MARKS = { hopfield: "0.138 d, where retrieval ends", projection: "d, from where everything is a memory" };
  let measuring = 0; // the run that may still draw
  let shown = [[], {}];

  /** The models to measure, once each; of Kanerva's the radius that suits the words' width. */
  function compared() {
    const models = panels.map(({ model, color }) => ({ ...model, color, measured: [], theory: [] }));
    const same = modelText(models[0]) === modelText(models[1]);
    return same ? models.slice(0, 1) : models;
  }

  async function breakRandom(series, told) {
    for (const one of series) {
      const { kind, parameter } = one;
      const curves = data.curves[kind];
      const curve = curves[kind === "dense" || kind === "modern" ? data.parameters[kind].indexOf(parameter) : 0] ?? [];
      one.theory = curve.map((share, i) => [data.loads[i], share]);
      one.mark = data.marks[kind];
    }
    for (const one of series) {
      const most = one.kind === "projection" ? data.units : data.loads.at(-1);
      const parameter = one.kind === "sdm" ? data.radius : one.parameter;
      await storeUntilItBreaks(one.kind, parameter, data.units, most, (k, share) => told(one, k, share));
    }
  }

  async function breakPictures(series, told) {
    for (const one of series) {
      await storePictures(one.kind, one.parameter, pictures, (k, share) => told(one, k, share));
    }
  }

  async function measure() {
    const run = ++measuring;
    const random = document.querySelector("input[name=source]:checked").value === "random";
    const series = compared();
    const axis = random
      ? { low: 2, high: data.loads.at(-1), log: true, ticks: [2, 10, 100, 1000, 10000], label: `random patterns of ${data.units} pixels stored` }
      : { low: 1, high: pictures.length, log: false, ticks: pictures.map((_, i) => i + 1).filter((k) => k % 5 === 0), label: "pictures stored" };
    shown = [series, axis];
    const named = series.some(({ kind }) => kind === "modern" || kind === "sdm");
    const criterion = random
      ? `one update leaves as they are${named ? " (softmax and Kanerva\u2019s: random words read under random names)" : ""}`
      : "come back from a cue with a tenth of its pixels flipped";
    $("legend").replaceChildren(
      ...series.map(({ kind, parameter, color }) => {
        const said = kind === "sdm" && random ? `, radius ${data.radius}` : parameter === undefined ? "" : `, ${KINDS[kind].said(parameter)}`;
        return html("span", {}, html("i", { style: `color: ${color}` }), KINDS[kind].name + said);
      }),
      ...(random ? [html("span", {}, html("i", { className: "theory" }), "theory")] : []),
      ...(random ? series.flatMap(({ kind }) => (MARKS[kind] ? [html("span", {}, `Dotted: ${MARKS[kind]}`)] : [])) : []),
      html("span", {}, `Dots: of those stored, how many ${criterion}`),
    );
    $("capacity-said").textContent = "\u2026";
    $("break").textContent = "Stop";
    const told = (one, k, share) => {
      if (run !== measuring) return false;
      one.measured.push([k, share]);
      drawCapacity($("capacity"), series, axis);
      return true;
    };
    await (random ? breakRandom : breakPictures)(series, told);
    if (run !== measuring) return;
    measuring++;
    $("break").textContent = "Store more and more";
    $("capacity-said").textContent = series.map((one) => summary(one)).join(" ");
    $("capacity").setAttribute("aria-label", $("capacity-said").textContent);
  }

  function summary({ kind, measured }) {
    const broken = measured.find(([, share]) => share < 0.5);
    const name = KINDS[kind].name;
    if (broken) return `${name}: fewer than half are left at ${broken[0].toLocaleString("en")}.`;
    return `${name}: still holds at ${measured.at(-1)[0].toLocaleString("en")}.`;
  }

  $("break").onclick = () => {
    if ($("break").textContent !== "Stop") return measure();
    measuring++;
    $("break").textContent = "Store more and more";
    $("capacity-said").textContent = "Stopped.";
  };

  // -- around -------------------------------------------------------------------------------------

  $("link").onclick = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      $("link-said").textContent = "Copied.";
    } catch {
      $("link-said").textContent = "It is in the address bar.";
    }
  };
  $("formulas").append(
    ...Object.values(KINDS).flatMap(({ name, formula }) => [html("dt", {}, name), html("dd", {}, formula)]),
  );
  addEventListener("resize", () => {
    goTo(time);
    drawCapacity($("capacity"), ...shown);
  });
  addEventListener("hashchange", () => {
    Object.assign(state, stateOf(location.hash, data.parameters, width));
    begin();
  });

  function begin() {
    gather();
    state.cue ??= noisy(pictures[Math.max(0, state.picked)]);
    panels.forEach((panel, i) => panel.set(state.models[i]));
    renew();
  }
  begin();
  measure();
}

// The functions above are also run where there is no page, to compare them with the library.
if (typeof document !== "undefined") start();
