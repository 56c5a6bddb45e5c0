// Time: how far the recall of both memories is shown.

const STEP = 1 / FRAMES_A_SWEEP; // of a sweep
const SWEEPS_A_SECOND = 1.2;
const LONGEST = 5; // seconds, by which a long recall is over

class Player {
  constructor(panels) {
    this.panels = panels;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.time = 0;
    this.playing = 0; // the next frame, if there will be one
    $("time").step = STEP;
    $("time").oninput = () => this.goTo(Number($("time").value));
    $("back").onclick = () => this.step(-1);
    $("forth").onclick = () => this.step(1);
    $("play").onclick = () => (this.playing ? this.goTo(this.time) : this.play());
  }

  get end() {
    return Math.max(...this.panels.map((panel) => panel.sweeps));
  }

  /** Stop at a time. */
  goTo(time) {
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.show(time);
  }

  step(by) {
    this.goTo(Math.round(this.time / STEP + by) * STEP);
  }

  /** Run from the cue to the end, or be there at once for those who want no motion. */
  play() {
    this.goTo(this.calm.matches ? this.end : 0);
    if (this.calm.matches) return;
    const speed = Math.max(SWEEPS_A_SECOND, this.end / LONGEST);
    let before = null;
    const tick = (now) => {
      const next = this.time + ((now - (before ?? now)) / 1000) * speed;
      before = now;
      this.playing = next < this.end ? requestAnimationFrame(tick) : 0;
      this.show(next);
    };
    this.playing = requestAnimationFrame(tick);
    this.show(0);
  }

  show(time) {
    this.time = clamp(time, 0, this.end);
    const said = `${this.time.toFixed(1)} of ${this.end}`;
    $("time").max = this.end;
    $("time").value = this.time;
    $("time").setAttribute("aria-valuetext", said);
    $("time-said").textContent = said;
    $("play").textContent = this.playing ? "Pause" : "Recall";
    for (const panel of this.panels) panel.show(this.time);
  }
}
