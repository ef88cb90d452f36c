// Charts: Vega-Lite specs from the page, data from the board, expressions interpreted, never run.

const fixed = JSON.parse($("#static").textContent);
const drawn = new Map(); // chart's node -> { view, again }
const loader = { load: refuse, sanitize: refuse, http: refuse, file: refuse };
function refuse() { return Promise.reject(new Error("this page loads nothing")); }

const theme = () => fixed[dark() ? "dark" : "light"];

/** Draw a chart into a node, named by a label; `adapt(spec, colors, width)` puts in what depends on
 * data, colors and room. */
const asked = new Map(); // chart's node -> what was asked of it last
async function draw(node, name, label, datasets, adapt) {
  asked.set(node, datasets);
  await load("charts");
  if (asked.get(node) !== datasets) return null; // something else was asked meanwhile
  const again = () => {
    drawn.get(node)?.view.finalize();
    const { config, colors } = theme(), spec = structuredClone(fixed.charts[name]);
    const style = getComputedStyle(node);
    const width = Math.max(node.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight), 200);
    spec.datasets = datasets;
    spec.description = label; // Vega makes it the chart's name
    adapt(spec, colors, width);
    const compiled = vegaLite.compile(spec, { config: { ...config, background: colors.card }, logger: quiet });
    const view = new vega.View(vega.parse(compiled.spec, null, { ast: true }), {
      renderer: "svg", hover: true, expr: expressionInterpreter, loader, logLevel: vega.Error,
    });
    view.tooltip((_, event, item, content) => tip(node, event, content));
    node.replaceChildren();
    view.initialize(node).run();
    drawn.set(node, { view, again });
    return view;
  };
  return again();
}
const quiet = { level() { return quiet; }, error() { return quiet; }, warn() { return quiet; }, info() { return quiet; }, debug() { return quiet; } };

/** Draw every chart anew: other colors, another width. */
function redraw() {
  for (const [node, { again }] of drawn) if (node.isConnected && node.clientWidth) again();
}

/** A small box at the pointer, in words that `content.tip` holds. */
function tip(node, event, content) {
  $(".tip", node)?.remove();
  if (!content?.tip) return;
  const box = make("div", { className: "tip" }, content.tip), around = node.getBoundingClientRect();
  node.append(box);
  const left = Math.min(event.clientX - around.left + 14, node.clientWidth - box.offsetWidth - 8);
  box.style.left = `${Math.max(left, 4)}px`;
  box.style.top = `${Math.max(event.clientY - around.top - box.offsetHeight - 10, 4)}px`;
}

/** Color and dash of each name: pairs differ for seven names and more. */
function looks(names, colors) {
  const turn = (some, i) => some[i % some.length];
  return {
    color: { domain: names, range: names.map((_, i) => turn(colors.series, i)) },
    dash: { domain: names, range: names.map((_, i) => turn(fixed.dashes, i)) },
  };
}

const COSTS = { training_seconds: "Training, s", sampling_seconds: "Sampling, s", sampling_ratio: "Sampling over none's", peak_memory_mb: "Memory, MB" };

/** Privacy against quality: a chosen column over the FID, with cost as size. */
async function drawTradeoff(board, node, chosen) {
  const { columns, names } = board.core.tables.board;
  const column = key => columns.find(each => each.key === key);
  const fid = column("fid"), private_ = column(chosen.y), cost = column(chosen.size);
  if (!fid?.value || !private_?.value) return node.replaceChildren("No FID or no such number on this board.");
  const turned = private_.kind === "auc";
  const points = names.flatMap((name, i) => {
    const entry = board.core.entries[i], [x, y] = [fid.value[i], private_.value[i]];
    if (x === null || y === null) return [];
    const ends = [private_.low?.[i] ?? y, y, private_.high?.[i] ?? y];
    const [low, at, high] = turned ? turnAround(ends) : ends;
    const reference = entry.role && entry.role !== "contestant";
    return [{
      name, x, y: at, y_low: low, y_high: high, i,
      x_low: Math.max(fid.low?.[i] ?? x, x / 50), x_high: fid.high?.[i] ?? x, cost: cost?.value?.[i] ?? 0,
      kind: reference ? "reference" : entry.unranked ? "not ranked" : "ranked",
    }];
  });
  const front = points.filter(p => p.kind === "ranked" && !points.some(q => q.kind === "ranked" &&
    q.x <= p.x && q.y <= p.y && (q.x < p.x || q.y < p.y))).sort((p, q) => p.x - q.x);
  for (const point of front) point.kind = "on the front";
  const none = names.findIndex((_, i) => board.core.entries[i].role === "undefended" || names[i] === "none");
  const unit = turned ? "AUC (turned around below 0.5)" : private_.title;
  const text = (key, i) => board.text(key, i);
  for (const point of points) {
    point.label = node.clientWidth < 520 ? (point.kind === "on the front" || point.i === none ? point.name : "") : points.length <= 14 || point.kind === "on the front" || point.kind === "reference" ? point.name : "";
    point.tip = [point.name, `FID ${text("fid", point.i)}`, `${private_.title} ${text(private_.key, point.i)}`,
      cost ? `${cost.title} ${text(cost.key, point.i)}` : "", point.kind].filter(Boolean).join("\n");
  }
  const limit = board.core.gate && none >= 0 && fid.value[none] ? board.core.gate * fid.value[none] : null;
  const gate = limit ? [{ x: limit, words: `utility gate: ${board.core.gate} × none` }] : [];
  const ends = points.flatMap(p => [p.x_low, p.x_high]).concat(limit ? [limit] : []).filter(x => x > 0);
  const datasets = { points, front, gate };
  const label = `${private_.title} over FID of ${points.length} entries; on the front: ${front.map(p => p.name).join(", ") || "none"}`;
  const view = await draw(node, "tradeoff", label, datasets, (spec, colors, width) => {
    spec.width = width;
    spec.autosize = { type: "fit", contains: "padding" };
    const range = { color: [colors.accent, colors.accent, colors.soft, colors.faint], fill: [colors.accent, colors.card, colors.card, colors.card] };
    for (const layer of spec.layer) {
      const { x, y, color, fill, size } = layer.encoding;
      x.scale.domain = [Math.min(...ends) * 0.9, Math.max(...ends) * 1.15];
      x.title = "FID, log scale: lower is better";
      if (y?.scale) y.title = `${unit}${private_.kind === "rate" ? ", square-root scale" : ""}: lower is better`;
      if (y?.scale && private_.kind === "rate") y.scale.type = "sqrt";
      if (y?.axis === undefined && y?.scale) y.axis = { format: private_.kind === "rate" ? "~%" : "~g" };
      if (color) color.scale.range = range.color, color.legend = { symbolStrokeWidth: 2 };
      if (fill) fill.scale.range = range.fill;
      if (size) size.title = cost ? COSTS[cost.key] ?? cost.title : "";
      const narrow = { orient: "bottom", direction: "horizontal", columns: 2 };
      if (width < 520) for (const channel of [color, fill, layer.encoding.shape]) if (channel) channel.legend = { ...channel.legend, ...narrow };
      if (width < 520 && size) size.legend = null;
      const mark = { rect: ["fill", colors.hot], text: ["fill", layer.data.name === "gate" ? colors.hot : colors.ink] }[layer.mark.type];
      if (mark) layer.mark[mark[0]] = mark[1];
      if (layer.mark.type === "rule" && layer.data.name === "gate") layer.mark.color = colors.hot;
      if (layer.mark.type === "line") layer.mark.color = colors.accent;
    }
  });
  view?.addEventListener("click", (_, item) => item?.datum?.name && openDrawer(board, item.datum.name, "|", "copy_rate"));
}

/** An AUC below one half is as telling as one above: the interval, mirrored. */
function turnAround([low, value, high]) {
  if (value < 0.5) [low, value, high] = [1 - high, 1 - value, 1 - low];
  return [Math.max(low, 0.5), value, high];
}

/** ROC curves of one attack, with bands, one for each defense. */
async function drawRoc(board, node, attack, names) {
  const found = await unpack(`${board.id}-curves`);
  const key = attack.lastIndexOf("|"), [how, sees] = [attack.slice(0, key), attack.slice(key + 1)];
  const lines = found.lines.filter(line => line[0] === how && line[1] === sees && names.includes(line[2]));
  if (!lines.length) return node.replaceChildren("No curve of this attack on these defenses on this page.");
  rocOf(node, found, lines.map(line => [line[2], ...line.slice(4)]), `ROC of ${how}, which sees the ${sees}, against`);
}

function rocOf(node, { fpr, steps }, lines, label) {
  const least = fpr[0];
  const rates = (changes, sum = 0) => changes.map(change => 10 ** ((sum += change) / steps));
  const curves = lines.flatMap(([name, ...ends]) => {
    const [tpr, low, high] = ends.map(each => rates(each));
    return fpr.map((x, i) => ({ name, fpr: x, tpr: tpr[i], low: low[i], high: high[i] }));
  });
  const names = [...new Set(lines.map(line => line[0]))];
  draw(node, "roc", `${label} ${names.join(", ")}`, { curves, chance: [{ fpr: least, tpr: least }, { fpr: 1, tpr: 1 }] }, (spec, colors, width) => {
    spec.width = Math.min(width, 860);
    spec.autosize = { type: "fit", contains: "padding" };
    const look = looks(names, colors);
    for (const layer of spec.layer) {
      const { x, y, color, strokeDash } = layer.encoding;
      if (width < 520) [x.title, y.title] = ["False positive rate", "True positive rate"];
      x.scale.domain = y.scale.domain = [least, 1];
      if (color) color.scale = look.color;
      if (color) color.legend.columns = width < 520 ? 1 : 3;
      if (strokeDash) strokeDash.scale = look.dash;
      if (layer.data.name === "chance") layer.mark.color = colors.soft;
    }
  });
}

/** How similar samples are to training images: a strip for each defense, none behind it. */
function drawSimilarity(board, node, names) {
  const { edges, threshold, extractor, defenses } = board.core.histograms;
  const without = board.core.entries.find(entry => entry.role === "undefended")?.name ?? "none";
  const rows = names.filter(name => defenses[name]).flatMap(name => {
    const bars = (who, what) => {
      const [n, counts] = defenses[who] ?? [1, []];
      return counts.flatMap((count, i) => count || what.includes("without") ? [{
        name, low: edges[i], high: edges[i + 1], share: count / n,
        what: what === "drawn" && edges[i] >= threshold - 1e-9 ? "drawn: a copy" : what,
        tip: `${who || "real images"}: ${count} of ${n} from ${edges[i].toPrecision(3)} to ${edges[i + 1].toPrecision(3)}`,
      }] : []);
    };
    return [...bars("", "real images never trained on"), ...bars(name, "drawn"),
      ...(name === without ? [] : bars(without, "drawn without a defense")),
      { name, low: threshold, high: threshold, share: 0, what: "threshold" }];
  });
  if (!rows.length) return node.replaceChildren("Nothing was drawn for these.");
  const label = `Histograms of similarity for ${names.join(", ")}; a copy lies above ${threshold}`;
  draw(node, "similarity", label, { bars: rows }, (spec, colors, width) => {
    const named = width < 520;
    const what = ["drawn", "drawn: a copy", "drawn without a defense", "real images never trained on"];
    spec.spec.width = Math.min(width - (named ? 60 : 190), 900);
    if (named) spec.facet.row.header = { labelOrient: "top", labelAnchor: "start" };
    spec.facet.row.sort = names;
    if (!named) spec.facet.row.header = { labelAngle: 0, labelAlign: "left", labelLimit: 120 };
    for (const layer of spec.spec.layer) {
      const { x, color } = layer.encoding;
      x.scale.domain = [edges[0], edges.at(-1)];
      x.title = `Similarity to the nearest training image (${extractor})`;
      color.scale = { domain: what, range: [colors.accent, colors.hot, colors.ink, colors.faint] };
      if (color.legend !== null) color.legend = { orient: "bottom", columns: named ? 1 : 4 };
      if (layer.mark.type === "rule") layer.mark.color = colors.ink, delete layer.encoding.color;
    }
  });
}
