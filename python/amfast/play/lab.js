// The capacities of the two memories: measured while more and more is stored, and theory over them.

const MARKS = {
  hopfield: "0.138 d, where retrieval ends",
  projection: "d, from where everything is a memory",
};
const UNCHANGED = "one update leaves as they are";
const NAMED = " (softmax and Kanerva’s: random words, read under random names)";
const CAME_BACK = "come back from a cue with a tenth of its pixels flipped";

class Lab {
  /** `pictures` returns those there are. */
  constructor(data, panels, pictures) {
    this.data = data;
    this.panels = panels;
    this.pictures = pictures;
    this.run = 0; // which one may still draw
    this.busy = false;
    $("break").onclick = () => (this.busy ? this.stop() : this.measure());
    for (const input of document.querySelectorAll("input[name=source]")) input.onchange = () => this.measure();
  }

  /** Store until both have broken, or there is nothing more to store; what ran before stops. */
  async measure() {
    const run = ++this.run;
    const random = document.querySelector("input[name=source]:checked").value === "random";
    this.series = this.compared(random);
    this.axis = random ? this.loads() : this.counts();
    this.explain(random);
    this.setBusy(true, "…");
    for (const one of this.series) {
      const told = (k, share) => {
        if (run !== this.run) return false;
        one.measured.push([k, share]);
        this.draw();
        return true;
      };
      if (random) await storeUntilItBreaks(one.kind, one.parameter, this.data.units, one.most, told);
      else await storePictures(one.kind, one.parameter, this.pictures(), told);
    }
    if (run === this.run) this.setBusy(false, this.series.map(summary).join(" "));
  }

  stop() {
    this.run++;
    this.setBusy(false, "Stopped.");
  }

  setBusy(busy, said) {
    this.busy = busy;
    $("break").textContent = busy ? "Stop" : "Store more and more";
    $("capacity-said").textContent = said;
    $("capacity").setAttribute("aria-label", `Shares recalled by how many are stored. ${said}`);
  }

  draw() {
    drawCapacity($("capacity"), this.series, this.axis);
  }

  /** The chosen memories, once each, with what theory says of them if patterns are random. */
  compared(random) {
    const { curves, parameters, loads, marks, radius, units } = this.data;
    const series = this.panels.map(({ model: { kind, parameter }, color }) => {
      // Words of another width have another best radius.
      const own = random && kind === "sdm" ? radius : parameter;
      const curve = random ? curves[kind][kind === "sdm" ? 0 : (parameters[kind]?.indexOf(own) ?? 0)] : null;
      const said = own === undefined ? "" : kind === "sdm" ? `, radius ${own}` : `, ${KINDS[kind].said(own)}`;
      return {
        kind, parameter: own, color,
        name: KINDS[kind].name + said,
        measured: [],
        theory: (curve ?? []).map((share, i) => [loads[i], share]),
        mark: random ? marks[kind] : undefined,
        most: kind === "projection" ? units : loads.at(-1),
      };
    });
    return series[0].name === series[1].name ? series.slice(0, 1) : series;
  }

  loads() {
    const { loads, units } = this.data;
    const label = `random patterns of ${units} pixels stored`;
    return { low: loads[0], high: loads.at(-1), log: true, ticks: [2, 10, 100, 1000, 10000], label };
  }

  counts() {
    const high = this.pictures().length;
    const ticks = Array.from({ length: Math.floor(high / 5) }, (_, i) => 5 * (i + 1));
    return { low: 1, high, log: false, ticks, label: "pictures stored" };
  }

  explain(random) {
    const line = (text, className = "", color = "inherit") =>
      html("span", {}, html("i", { className, style: `color: ${color}` }), text);
    const kinds = this.series.map(({ kind }) => kind);
    const named = random && kinds.some((kind) => kind === "modern" || kind === "sdm");
    const notes = [
      ...kinds.filter((kind) => random && kind in MARKS).map((kind) => `Dotted: ${MARKS[kind]}`),
      `Dots: of those stored, how many ${random ? UNCHANGED : CAME_BACK}${named ? NAMED : ""}`,
    ];
    $("legend").replaceChildren(
      ...this.series.map(({ name, color }) => line(name, "", color)),
      ...(random ? [line("theory", "theory")] : []),
      ...notes.map((note) => html("span", {}, note)),
    );
  }
}

function summary({ name, measured }) {
  const broken = measured.find(([, share]) => share < 0.5);
  if (broken) return `${name}: fewer than half are left at ${broken[0].toLocaleString("en")}.`;
  return `${name}: still holds at ${measured.at(-1)[0].toLocaleString("en")}.`;
}
