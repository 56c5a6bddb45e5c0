// Drawing: elements, pictures on canvases, curves and bars as SVG.

const $ = (id) => document.getElementById(id);

const BLACK = [21, 25, 31];
const WHITE = [246, 240, 228];

/** A state with numbers in -1 .. +1 on a canvas as large as it has pixels. */
function drawPicture(canvas, state) {
  const pen = canvas.getContext("2d");
  const pixels = pen.createImageData(canvas.width, canvas.height);
  state.forEach((x, i) => {
    const share = clamp((x + 1) / 2, 0, 1);
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = BLACK[c] + share * (WHITE[c] - BLACK[c]);
    pixels.data[4 * i + 3] = 255;
  });
  pen.putImageData(pixels, 0, 0);
}

/** An element of HTML with properties, some of which may be attributes, and children. */
function html(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Put a drawing of so many pixels where the last one was. */
function draw(place, width, height, ...children) {
  place.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": true }, ...children));
}

const polyline = (points, attributes) =>
  svg("polyline", { points: points.map((p) => p.join(",")).join(" "), fill: "none", ...attributes });

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

/** A number as short as it may be read. */
function short(x) {
  const size = Math.abs(x);
  if (size !== 0 && (size >= 1e5 || size < 1e-2)) return x.toExponential(1).replace("e+", "e").replace("-", "−");
  return String(+x.toPrecision(3)).replace("-", "−");
}

/** A line that is drawn up to a time, and faint beyond it. `points`: [[time, value]]. */
function drawTrace(place, points, time, color) {
  const [width, height, left, base] = [place.clientWidth || 160, 76, 2, 60];
  const values = points.map(([, value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const end = points.at(-1)[0] || 1;
  const at = ([t, value]) => [
    +(left + (t / end) * (width - 2 * left - 4)).toFixed(1),
    +(base - 4 - ((value - low) / (high - low || 1)) * (base - 12)).toFixed(1),
  ];
  const past = points.filter(([t]) => t <= time + 1e-9);
  const [x, y] = at(past.at(-1));
  draw(
    place, width, height,
    svg("line", { x1: 0, x2: width, y1: base, y2: base, stroke: "var(--line)" }),
    polyline(points.map(at), { stroke: color, "stroke-opacity": 0.3, "stroke-width": 1.5 }),
    polyline(past.map(at), { stroke: color, "stroke-width": 2.5 }),
    svg("circle", { cx: x, cy: y, r: 4, fill: color }),
    svg("text", { x: 0, y: height - 2 }, short(values[0])),
    svg("text", { x: width, y: height - 2, "text-anchor": "end" }, short(values.at(-1))),
  );
}

/** Bars up to +1 and down to `lowest` or so, the largest one strong; `urls` are pictures below them. */
function drawBars(place, values, lowest, urls, color) {
  const width = place.clientWidth || 160;
  const slot = Math.min(34, width / values.length);
  const side = slot >= 12 ? slot - 3 : 0;
  const [middle, reach] = [44, 40];
  const below = middle + 4 + reach * Math.max(0.2, -lowest);
  const best = values.indexOf(Math.max(...values));
  const marks = values.flatMap((value, mu) => {
    const tall = Math.max(1, Math.abs(value) * reach);
    const bar = svg("rect", {
      x: mu * slot + slot * 0.15, width: slot * 0.7, height: tall, y: value > 0 ? middle - tall : middle,
      fill: color, "fill-opacity": mu === best ? 1 : 0.45, rx: 1,
    });
    const picture = { href: urls[mu], x: mu * slot + 1.5, y: below, width: side, height: side };
    return side ? [bar, svg("image", { ...picture, style: "image-rendering: pixelated" })] : [bar];
  });
  draw(
    place, width, below + side + 2,
    svg("line", { x1: 0, x2: width, y1: middle, y2: middle, stroke: "var(--line)" }),
    svg("line", { x1: 0, x2: width, y1: middle - reach, y2: middle - reach, stroke: "var(--line)", "stroke-dasharray": "2 4" }),
    ...marks,
  );
}

/**
 * Shares over how many patterns are stored.
 * `series`: [{color, measured: [[k, share]], theory: [[k, share]], mark: k}]; `axis`: {low, high, log, ticks, label}.
 */
function drawCapacity(place, series, axis) {
  const width = Math.max(280, place.clientWidth);
  const [height, left, right, top, base] = [280, 40, 12, 12, 234];
  const scale = axis.log ? Math.log : (x) => x;
  const share = (k) => (scale(k) - scale(axis.low)) / (scale(axis.high) - scale(axis.low));
  const at = ([k, y]) => [+(left + share(k) * (width - left - right)).toFixed(1), +(base - y * (base - top)).toFixed(1)];
  const marks = [];
  for (const y of [0, 0.5, 1]) {
    const [, level] = at([axis.low, y]);
    marks.push(svg("line", { x1: left, x2: width - right, y1: level, y2: level, stroke: "var(--line)" }));
    marks.push(svg("text", { x: left - 6, y: level + 4, "text-anchor": "end" }, `${100 * y} %`));
  }
  for (const k of axis.ticks) {
    const [x] = at([k, 0]);
    marks.push(svg("line", { x1: x, x2: x, y1: base, y2: base + 4, stroke: "var(--soft)" }));
    marks.push(svg("text", { x, y: base + 18, "text-anchor": "middle" }, k.toLocaleString("en")));
  }
  marks.push(svg("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, axis.label));
  for (const { color, measured, theory, mark } of series) {
    if (mark) {
      const [x] = at([mark, 0]);
      marks.push(svg("line", { x1: x, x2: x, y1: top, y2: base, stroke: color, "stroke-dasharray": "1 5", "stroke-width": 2 }));
    }
    marks.push(polyline(theory.map(at), { stroke: color, "stroke-width": 2, "stroke-dasharray": "6 5" }));
    marks.push(polyline(measured.map(at), { stroke: color, "stroke-width": 1.5, "stroke-opacity": 0.5 }));
    for (const point of measured) {
      const [cx, cy] = at(point);
      marks.push(svg("circle", { cx, cy, r: 4, fill: color, stroke: "var(--card)" }));
    }
  }
  draw(place, width, height, ...marks);
}
