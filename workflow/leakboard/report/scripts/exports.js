// What is shown, as files: tables as CSV (by Tabulator), JSON, LaTeX and Markdown, charts as pictures.

/** Save text or bytes under a name. */
function save(content, name, type) {
  const link = make("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Text that no spreadsheet takes for a formula. */
function inert(text) {
  return typeof text === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}

/** The rows and columns shown, as texts: [heads, ...rows], each cell as told by `tables.js`. */
function visible({ made, numbers, cells }) {
  const columns = made.getColumns().map(column => column.getField()).filter(field => /^f\d+$/.test(field) && made.getColumn(field).isVisible());
  const places = columns.map(field => Number(field.slice(1)));
  const named = place => {
    const { title, group } = numbers.columns[place];
    return group.startsWith("Attacker sees") ? `${title}, ${group.replace("Attacker sees ", "")}` : title;
  };
  const rows = made.getRows("active").map(row => row.getData().row);
  return { heads: [numbers.first, ...places.map(named)], rows: rows.map(i => [numbers.names[i], ...places.map(place => cells[i][place])]) };
}

const TEX = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}", "–": "--", "—": "---", "−": "$-$", "×": "$\\times$", "±": "$\\pm$", "“": "``", "”": "''", "|": "\\textbar{}" };
const tex = text => String(text).replace(/[\\{}$&#_%~^<>–—−×±“”|]/g, letter => TEX[letter] ?? `\\${letter}`);

/** A booktabs table: value, interval in small type, tie letters above. */
function toLatex(built) {
  const { heads, rows } = visible(built);
  const cell = each => typeof each === "string" ? tex(each) : !each.text ? "---" :
    tex(each.text) + (each.mark ? `$^{\\text{${tex(each.mark)}}}$` : "") + (/^[<>−+\d]/.test(each.under[0] ?? "") ? ` {\\scriptsize (${tex(each.under[0])})}` : "");
  const line = cells => `${cells.join(" & ")} \\\\`;
  return ["% needs \\usepackage{booktabs} and \\usepackage{amsmath}", `\\begin{tabular}{l${"r".repeat(heads.length - 1)}}`, "\\toprule", line(heads.map(tex)), "\\midrule",
    ...rows.map(row => line(row.map(cell))), "\\bottomrule", "\\end{tabular}", ""].join("\n");
}

const plain = text => String(text).replace(/[\\|`*_<>[\]]/g, letter => ({ "<": "&lt;", ">": "&gt;" })[letter] ?? `\\${letter}`).replace(/\s+/g, " ");

/** A GitHub table of the same. */
function toMarkdown(built) {
  const { heads, rows } = visible(built);
  const cell = each => typeof each === "string" ? `**${plain(each)}**` : !each.text ? "—" :
    plain(each.text) + (each.mark ? `<sup>${plain(each.mark)}</sup>` : "") + (each.under.length ? ` (${each.under.map(plain).join("; ")})` : "");
  const line = cells => `| ${cells.join(" | ")} |`;
  return [line(heads.map(plain)), line(heads.map((_, i) => i ? "---:" : "---")), ...rows.map(row => line(row.map(cell))), ""].join("\n");
}

/** The rows shown, by the keys of their columns. */
function toJson({ made }) {
  const columns = made.getColumns().map(column => column.getDefinition()).filter(column => column.download);
  const named = data => Object.fromEntries(columns.map(column => [column.titleDownload, data[column.field]]));
  return JSON.stringify(made.getRows("active").map(row => named(row.getData())), null, 1);
}

/** Download what a table shows; CSV and JSON have all columns, their ends and all digits. */
function download(built, kind, name) {
  if (kind === "tex") return save(toLatex(built), `${name}.tex`, "application/x-tex");
  if (kind === "md") return save(toMarkdown(built), `${name}.md`, "text/markdown");
  if (kind === "json") return save(toJson(built), `${name}.json`, "application/json");
  built.made.download(kind, `${name}.${kind}`);
}

/** Save a chart as it stands. */
async function saveChart(node, kind, name) {
  const view = drawn.get(node)?.view;
  if (!view) return;
  if (kind === "svg") return save(await view.toSVG(), `${name}.svg`, "image/svg+xml");
  const canvas = await view.toCanvas(2);
  canvas.toBlob(blob => save(blob, `${name}.png`, "image/png"));
}
