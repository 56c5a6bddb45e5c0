// What a person can change here, and what follows from it.

class Page {
  constructor(data) {
    this.data = data;
    this.side = data.side;
    this.width = data.side ** 2;
    this.bundled = data.pictures.map((text) => decodeBits(text, this.width));
    const { models, stored, picked, noise } = TRIES[0];
    this.state = { models, stored, picked, noise, seed: 1, own: [], ...this.linked() };
    const changed = () => this.modelChanged();
    this.panels = ["a", "b"].map((letter) => new Panel(letter, $("panels"), this.side, data.parameters, changed));
    this.player = new Player(this.panels);
    this.easel = new Easel(this.side, (byKey) => this.renew(!byKey));
    this.lab = new Lab(data, this.panels, () => this.pictures);
    this.listen();
    this.begin();
    this.lab.measure();
  }

  linked() {
    return stateOf(location.hash, this.data.parameters, this.width);
  }

  begin() {
    this.gather();
    this.state.cue ??= this.noisy(this.pictures[Math.max(0, this.state.picked)]);
    this.panels.forEach((panel, i) => panel.set(this.state.models[i]));
    this.renew();
  }

  /** What depends on which pictures there are: drawings of one's own come first. */
  gather() {
    const { state, data, side } = this;
    this.pictures = [...state.own, ...this.bundled];
    this.names = [...state.own.map((_, i) => `Drawing ${state.own.length - i}`), ...data.names];
    const canvases = this.pictures.map((pattern) => {
      const canvas = html("canvas", { width: side, height: side });
      drawPicture(canvas, pattern);
      return canvas;
    });
    this.urls = canvases.map((canvas) => canvas.toDataURL());
    state.stored = clamp(state.stored, 1, this.pictures.length);
    state.picked = clamp(state.picked, -1, this.pictures.length - 1);
    state.noise = clamp(state.noise, 0, 50);
    $("stored").max = this.pictures.length;
    $("thumbs").replaceChildren(
      ...canvases.map((canvas, i) => html("button", { title: this.names[i], onclick: () => this.pick(i) }, canvas)),
    );
  }

  /** Recall the cue anew, after anything that matters has changed, and play it or show its end. */
  renew(play = true) {
    const { state, names } = this;
    const stored = this.pictures.slice(0, state.stored);
    const asked = state.picked >= 0 && state.picked < state.stored ? names[state.picked] : null;
    for (const panel of this.panels) panel.run(state.cue, state.seed, stored, names, this.urls, asked);
    this.tell();
    this.easel.draw(state.cue);
    if (play) this.player.play();
    else this.player.goTo(this.player.end);
  }

  /** Show the state in all that can change it, and in the address. */
  tell() {
    const { state } = this;
    $("stored").value = state.stored;
    $("stored-said").textContent = `${state.stored} of ${this.pictures.length}`;
    $("noise").value = state.noise;
    $("noise-said").textContent = `${state.noise} %`;
    $("restore").disabled = state.picked < 0;
    [...$("thumbs").children].forEach((button, i) => {
      const held = i < state.stored;
      button.className = held ? "" : "out";
      button.setAttribute("aria-pressed", i === state.picked);
      button.setAttribute("aria-label", `${this.names[i]}, ${held ? "stored" : "not stored"}`);
    });
    try {
      history.replaceState(null, "", hashOf(state));
    } catch {
      // Within another page, as in a notebook, there is no address to write to.
    }
  }

  modelChanged() {
    this.state.models = this.panels.map((panel) => panel.model);
    this.renew();
    this.lab.measure();
  }

  // -- the cue ------------------------------------------------------------------------------------

  noisy(pattern) {
    return flipped(pattern, Math.round((this.state.noise / 100) * this.width), this.state.seed);
  }

  setCue(cue) {
    this.state.cue = cue;
    this.renew();
  }

  /** Take a picture as the cue, as spoilt as the slider says. */
  pick(i) {
    this.state.picked = i;
    this.state.seed++;
    this.setCue(this.noisy(this.pictures[i]));
  }

  /** Store the cue, before all others. */
  keep() {
    const { state } = this;
    const twin = this.pictures.findIndex((pattern) => Math.abs(overlap(pattern, state.cue)) === 1);
    $("cue-said").textContent = twin < 0 ? "" : `This is ${this.names[twin]}, or its negative.`;
    if (twin >= 0) return;
    state.own.unshift(Int8Array.from(state.cue));
    state.stored++;
    state.picked = 0;
    this.gather();
    this.renew();
  }

  /** Set everything up for one of the tries; drawings of one's own stay, before the others. */
  attempt({ models, stored, picked, noise, say, spoil = (pattern) => pattern }) {
    const { state } = this;
    const own = state.own.length;
    Object.assign(state, { models, noise, seed: 1, stored: own + stored, picked: own + picked });
    this.panels.forEach((panel, i) => panel.set(models[i]));
    $("tries-said").textContent = say;
    this.setCue(spoil(this.noisy(this.pictures[state.picked]), this.side));
    this.lab.measure();
  }

  // -- what there is to press ---------------------------------------------------------------------

  listen() {
    const { state, side } = this;
    $("stored").oninput = () => {
      state.stored = Number($("stored").value);
      this.renew(false);
    };
    $("noise").oninput = () => {
      state.noise = Number($("noise").value);
      this.tell();
    };
    $("noise").onchange = () => state.picked >= 0 && this.pick(state.picked);
    $("add-noise").onclick = () => {
      state.seed++;
      this.setCue(this.noisy(state.cue));
    };
    $("hide-lower").onclick = () => this.setCue(lowerHalf(state.cue, side));
    $("hide-left").onclick = () => this.setCue(state.cue.map((x, i) => (i % side < side / 2 ? -1 : x)));
    $("invert").onclick = () => this.setCue(inverted(state.cue));
    $("restore").onclick = () => this.setCue(Int8Array.from(this.pictures[state.picked]));
    $("clear").onclick = () => {
      state.picked = -1;
      this.setCue(new Int8Array(this.width).fill(-1));
    };
    $("keep").onclick = () => this.keep();
    $("link").onclick = async () => {
      const copied = navigator.clipboard?.writeText(location.href) ?? Promise.reject();
      $("link-said").textContent = await copied.then(() => "Copied.", () => "It is in the address bar.");
    };
    $("source").hidden = !this.data.bundled;
    if (this.data.bundled) {
      if (!location.hash) $("tries-said").textContent = TRIES[0].say;
      $("tries").append("Try: ", ...TRIES.map((one) => html("button", { onclick: () => this.attempt(one) }, one.name)));
    }
    for (const { name, formula } of Object.values(KINDS)) $("formulas").append(html("dt", {}, name), html("dd", {}, formula));
    addEventListener("resize", () => {
      this.player.show(this.player.time);
      this.lab.draw();
    });
    addEventListener("hashchange", () => {
      Object.assign(state, this.linked());
      this.begin();
      this.lab.measure();
    });
  }
}

// The functions before this are also run where there is no page, to compare them with the library.
if (typeof document !== "undefined") new Page(JSON.parse($("data").textContent));
