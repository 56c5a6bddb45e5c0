// The cue, on which one draws with a pointer or with keys.

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

class Easel {
  /** `painted` is called when the cue, which is changed in place, has changed; with whether a key did it. */
  constructor(side, painted) {
    this.side = side;
    this.painted = painted;
    this.canvas = $("cue");
    this.cursor = null; // [row, column] while keys draw
    this.last = null; // where the pointer was while it draws
    this.canvas.onpointerdown = (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.last = this.pixelOf(event);
      this.paint(...this.last);
    };
    this.canvas.onpointermove = (event) => {
      if (this.last) this.lineTo(this.pixelOf(event));
    };
    this.canvas.onpointerup = this.canvas.onpointercancel = () => {
      this.last = null;
      this.painted(false);
    };
    this.canvas.onkeydown = (event) => {
      if (this.key(event.key)) event.preventDefault();
    };
    this.canvas.onblur = () => {
      this.cursor = null;
      this.draw(this.cue);
    };
  }

  draw(cue) {
    this.cue = cue;
    drawPicture(this.canvas, cue);
    if (!this.cursor) return;
    const pen = this.canvas.getContext("2d");
    pen.fillStyle = "#e0457b";
    pen.fillRect(this.cursor[1], this.cursor[0], 1, 1);
  }

  /** Paint a square of two by two pixels. */
  paint(row, column) {
    const color = Number(document.querySelector("input[name=brush]:checked").value);
    for (const [r, c] of [[row, column], [row + 1, column], [row, column + 1], [row + 1, column + 1]]) {
      if (r >= 0 && c >= 0 && r < this.side && c < this.side) this.cue[r * this.side + c] = color;
    }
    this.draw(this.cue);
  }

  lineTo(end) {
    const start = this.last;
    const steps = Math.max(1, ...end.map((x, axis) => Math.abs(x - start[axis])));
    for (let s = 1; s <= steps; s++) {
      this.paint(...end.map((x, axis) => Math.round(start[axis] + ((x - start[axis]) * s) / steps)));
    }
    this.last = end;
  }

  pixelOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const along = (x, from, length) => Math.floor(((x - from) / length) * this.side - 0.5);
    return [along(event.clientY, box.top, box.height), along(event.clientX, box.left, box.width)];
  }

  /** Move or paint; whether the key means something here. */
  key(name) {
    const [row, column] = this.cursor ?? [this.side / 2, this.side / 2];
    const paints = name === " " || name === "Enter";
    if (!paints && !(name in MOVES)) return false;
    const [down, right] = paints ? [0, 0] : MOVES[name];
    this.cursor = [clamp(row + down, 0, this.side - 1), clamp(column + right, 0, this.side - 1)];
    if (paints) {
      this.paint(...this.cursor);
      this.painted(true);
    } else {
      this.draw(this.cue);
    }
    const [r, c] = this.cursor;
    const color = this.cue[r * this.side + c] > 0 ? "white" : "black";
    $("cue-said").textContent = `Row ${r + 1}, column ${c + 1}: ${color}`;
    return true;
  }
}
