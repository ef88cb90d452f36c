// Two defenses side by side: what the paired tests say.

const MINUS = "\u2212";
const signed = (number, digits) => {
  const text = Math.abs(number).toFixed(digits);
  return Number(text) === 0 ? text : (number < 0 ? MINUS : "+") + text;
};
const told_p = p => p === null ? "—" : p < 0.001 ? "<0.001" : p.toFixed(3);

/** The comparison of a and b in one column, whichever way around it was made. */
function pairOf(pairs, column, a, b) {
  const same = pairs.find(row => row.column === column && row.a === a && row.b === b);
  if (same) return same;
  const other = pairs.find(row => row.column === column && row.a === b && row.b === a);
  return other && {
    ...other, a, b, attack_a: other.attack_b, attack_b: other.attack_a, difference: -other.difference,
    ci_low: -other.ci_high, ci_high: -other.ci_low,
    verdict: { lower: "higher", higher: "lower" }[other.verdict] ?? other.verdict,
  };
}

/** What a comparison means. */
function inWords(row, column, a, b) {
  const size = column.kind === "rate" ? `${(100 * Math.abs(row.difference)).toFixed(1)} points` : Math.abs(row.difference).toFixed(3);
  const tested = row.p_holm !== null ? `Holm p ${told_p(row.p_holm)}` : `p ${told_p(row.p)}, not among the tests that rank`;
  if (row.verdict === "lower") return `${a} leaks less, by ${size} (${tested})`;
  if (row.verdict === "higher") return `${a} leaks more, by ${size} (${tested})`;
  return row.verdict === "tied" ? `cannot be told apart (${tested})` : `${row.difference < 0 ? a : b} leaks ${size} less (${tested})`;
}

async function drawComparison(board, section, a, b) {
  const place = $("[data-compared]", section), pairs = board.pairs ??= rowsOf(await unpack(`${board.id}-pairs`));
  const numbers = board.core.tables.board, [i, j] = [a, b].map(name => numbers.names.indexOf(name));
  const columns = numbers.columns.filter(column => pairs.some(row => row.column === column.key));
  const found = columns.map(column => [column, a === b ? null : pairOf(pairs, column.key, a, b)]);
  const ends = kind => Math.max(...found.filter(([c, row]) => c.kind === kind && row).flatMap(([, row]) => [Math.abs(row.ci_low), Math.abs(row.ci_high)]), 1e-9);
  const body = found.map(([column, row]) => {
    const digits = column.kind === "rate" ? 1 : 3, by = column.kind === "rate" ? 100 : 1, top = ends(column.kind);
    const cells = [board.text(column.key, i), board.text(column.key, j)].map((text, side) =>
      make("td", {}, text || "—", ...(row?.[side ? "attack_b" : "attack_a"] ? [make("small", {}, row[side ? "attack_b" : "attack_a"])] : [])));
    const difference = make("td", {});
    if (row) difference.append(make("b", {}, signed(by * row.difference, digits)), whisker({ kind: "auc", domain: [-top, top] }, row.ci_low, row.difference, row.ci_high),
      make("small", {}, `${signed(by * row.ci_low, digits)} to ${signed(by * row.ci_high, digits)}`));
    else difference.append("—");
    const group = column.group.startsWith("Attacker") ? `AUC, ${column.group.replace("Attacker sees ", "")}` : column.title;
    const words = row ? inWords(row, column, a, b) : a === b ? "the same defense" : "not compared: a number is missing";
    const ps = [row?.p, row?.p_holm].map(p => make("td", {}, told_p(p ?? null)));
    return make("tr", {}, make("th", { scope: "row" }, group), make("td", { className: "said" }, words), ...cells, difference, ...ps);
  });
  const heads = ["Number", "In words", a, b, "Difference in leak", "p", "Holm p"];
  const table = make("table", {}, make("caption", {}, "Rates in percentage points; for AUCs, leak is the distance from 0.5. Left of the middle, the first leaks less."),
    make("thead", {}, make("tr", {}, ...heads.map(head => make("th", { scope: "col" }, head)))), make("tbody", {}, ...body));
  place.replaceChildren(make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: `${a} against ${b}` }, table));
  const roc = $("[data-chart='pair-roc']", section), alike = $("[data-chart='pair-similarity']", section);
  const strongest = found.find(([column, row]) => column.kind === "auc" && row);
  if (strongest) {
    const sees = strongest[0].key.replace(/_auc$/, ""), curves = await unpack(`${board.id}-curves`);
    const lines = [[a, strongest[1].attack_a], [b, strongest[1].attack_b]].flatMap(([name, attack]) =>
      curves.lines.filter(line => line[0] === attack && line[1] === sees && line[2] === name).map(line => [`${name} (${attack}, ${sees})`, ...line.slice(4)]));
    if (lines.length) rocOf(roc, curves, lines);
    else roc.replaceChildren("No curves of this pair on this page.");
  } else roc.replaceChildren("No curves of this pair on this page.");
  if (board.core.histograms.edges) drawSimilarity(board, alike, [...new Set([a, b])]);
}
