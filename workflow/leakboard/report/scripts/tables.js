// Tabulator sorts, filters and searches the tables; what stands in their cells comes from the page.

/** What a cell of the page says: its number, tie letters, and the lines below. */
function told(cell) {
  const absent = cell.className === "no";
  return {
    text: absent ? "" : cell.firstChild.data.trim(),
    mark: $("sup", cell)?.textContent ?? "",
    under: $$("small", cell).map(line => line.textContent),
    reason: absent ? cell.title : "",
    heat: cell.className.startsWith("h") ? cell.className : "",
  };
}

/** An interval drawn to scale on a rail: its ends, its value, and one half for an AUC. */
function whisker(column, low, value, high) {
  const [start, end] = column.domain;
  const at = number => Math.min(Math.max((number - start) / (end - start || 1), 0), 1) * 100;
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const attributes = { class: "whisker", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" };
  for (const [name, text] of Object.entries(attributes)) svg.setAttribute(name, text);
  const line = (x1, x2, y1, y2, kind) => {
    const node = document.createElementNS(space, "line");
    for (const [name, text] of Object.entries({ x1, x2, y1, y2 })) node.setAttribute(name, text);
    if (kind) node.setAttribute("class", kind);
    svg.append(node);
  };
  line(0, 100, 4, 4, "rail");
  if (column.kind === "auc") line(50, 50, 1, 7, "middle");
  line(at(low), at(high), 4, 4);
  line(at(value), at(value), 0, 8);
  return svg;
}

/** The content of one cell; a button where there is something to open. */
function shown(board, numbers, place, row, cell) {
  const column = numbers.columns[place];
  const opens = column.opens && (Array.isArray(column.opens) ? column.opens[row] : column.opens);
  const box = opens
    ? make("button", { type: "button", className: "cell", tabIndex: -1 })
    : make("span", { className: "cell" });
  if (!cell.text) {
    box.append(make("span", { className: "missing", title: cell.reason, ariaLabel: `none: ${cell.reason}` }, "—"));
    box.setAttribute("aria-label", `${numbers.names[row]}, ${column.title}: no number, ${cell.reason}`);
  } else {
    box.append(make("span", { className: "text" }, cell.text));
    if (cell.mark) box.append(make("sup", { title: "its tie group" }, cell.mark));
    const [value, low, high] = ["value", "low", "high"].map(key => column[key]?.[row] ?? null);
    if (column.domain && low !== null && high !== null) box.append(whisker(column, low, value, high));
    for (const line of cell.under) box.append(make("small", {}, line));
  }
  if (opens) box.addEventListener("click", () => openDrawer(board, numbers.names[row], opens, column.key));
  return box;
}

/** Numbers ascending, words by the alphabet, and what is missing last, whichever way one sorts. */
const collator = new Intl.Collator("en", { numeric: true });
function sorter(a, b, rowA, rowB, column, direction) {
  const absent = value => value === null || value === "";
  if (absent(a) || absent(b)) return (absent(a) - absent(b)) * (direction === "asc" ? 1 : -1);
  return typeof a === "number" && typeof b === "number" ? a - b : collator.compare(a, b);
}

/** Whether a cell passes the filter above its column: words it holds, or `< 0.1`, `>= 0.9`. */
function passes(wanted, value, words) {
  const asked = /^\s*([<>]=?)\s*(-?[\d.]+)\s*(%?)\s*$/.exec(wanted);
  if (!asked) return words.toLowerCase().includes(wanted.trim().toLowerCase());
  const bound = Number(asked[2]) / (asked[3] ? 100 : 1);
  if (typeof value !== "number") return false;
  return { "<": value < bound, "<=": value <= bound, ">": value > bound, ">=": value >= bound }[asked[1]];
}

/** How a column stands in a file: under its key, with all digits, shown or not. */
const saved = key => ({ titleDownload: inert(key), accessorDownload: inert, download: true });
/** A head that a keyboard can sort by: Tabulator listens to clicks alone. */
const head = text => make("button", { type: "button", className: "head" }, text);
const MINIMA = { words: 136, p: 74, rate: 104, auc: 92, points: 120, score: 104, ratio: 82, rank: 76 }; // px

/** Build a Tabulator in place of a table of the page; `numbers` are what its cells stand for. */
function build(board, region, numbers) {
  const table = $("table", region);
  const rows = [...table.tBodies[0].rows].map(row => [...row.cells]);
  const cells = rows.map(row => row.slice(1).map(told));
  const words = cells.map((row, i) => row.map(c => [c.text, ...c.under, c.reason].join(" ")));
  const heads = rows.map(row => row[0]);
  const muted = rows.map(row => row[0].parentNode.className === "muted");
  const caption = $("caption", table), badges = heads.map(head => $$(".badge", head));
  const first = {
    title: "", field: "name", frozen: true, sorter, headerFilter: "input", ...saved(numbers.first),
    width: innerWidth < 640 ? 118 : numbers.kind === "board" ? 142 : 170, headerFilterFunc: (wanted, value) => passes(wanted, value, value),
    titleFormatter: () => head(numbers.first),
    formatter: cell => {
      const i = cell.getData().row, box = make("span", { className: "name" }, numbers.names[i]);
      for (const badge of badges[i]) box.append(badge.cloneNode(true));
      return box;
    },
  };
  const columns = numbers.columns.map((column, place) => ({
    title: "", field: `f${place}`, sorter, ...saved(column.key), visible: numbers.kind !== "board" || column.essential,
    headerTooltip: $$("thead tr:last-child th", table)[place + 1].title || false,
    cssClass: [column.kind === "words" ? "words" : "number", column.kind].join(" "),
    minWidth: Math.max(numbers.kind === "heat" ? 92 : column.key.startsWith("extracted") ? 132 : MINIMA[column.kind] ?? 104,
      ...column.title.split(/[\s-]/).map(word => 8.2 * word.length + 30)),
    widthGrow: column.key === "words" || column.key === "protocol" ? 4 : 1, headerFilter: "input", headerFilterPlaceholder: "< 0.1",
    headerFilterFunc: (wanted, value, data) => passes(wanted, value, words[data.row][place]),
    titleFormatter: () => head(column.title),
    formatter: cell => {
      const i = cell.getData().row, one = cells[i][place];
      if (numbers.kind === "heat") cell.getElement().classList.add(one.heat || "none");
      return shown(board, numbers, place, i, one);
    },
  }));
  const ends = numbers.columns.flatMap((column, place) => ["low", "high"].filter(end => column[end] && column.key !== "rank").map(end =>
    ({ title: "", field: `${end}${place}`, visible: false, ...saved(`${column.key}_${end}`) })));
  const data = rows.map((_, i) => Object.fromEntries([
    ["row", i], ["name", numbers.names[i]],
    ...numbers.columns.map((column, place) => [`f${place}`, column.value ? column.value[i] : cells[i][place].text || null]),
    ...numbers.columns.flatMap((column, place) => ["low", "high"].map(end => [`${end}${place}`, column[end]?.[i] ?? null])),
  ]));
  const holder = make("div", {});
  const note = make("p", { className: `caption ${caption.className}` }, ...[...caption.childNodes].map(node => node.cloneNode(true)));
  const made = new Tabulator(holder, {
    data, columns: [first, ...grouped(numbers, columns), ...ends], downloadConfig: { columnGroups: false }, layout: "fitColumns", ...(rows.length > 16 ? { maxHeight: "90vh" } : {}),
    nestedFieldSeparator: false, headerSortTristate: true,
    placeholder: "No row has all of this", columnHeaderVertAlign: "bottom", index: "row",
    rowFormatter: row => row.getElement().classList.toggle("muted", muted[row.getData().row]),
  });
  region.classList.add("built", "unfiltered", table.className);
  region.removeAttribute("tabindex");
  table.replaceWith(note, holder);
  holder.setAttribute("aria-label", region.getAttribute("aria-label"));
  roam(holder);
  return { made, numbers, cells, words, region, badges: badges.map(some => some.map(badge => `${badge.textContent} ${badge.title}`).join(" ")) };
}

/** Columns under the heads of their groups, where they have any. */
function grouped(numbers, columns) {
  if (!numbers.columns.some(column => column.group)) return columns;
  const found = [];
  columns.forEach((column, place) => {
    const group = numbers.columns[place].group;
    if (found.at(-1)?.group !== group) {
      found.push({ title: "", titleFormatter: () => make("span", {}, group), group, columns: [] });
    }
    found.at(-1).columns.push(column);
  });
  return found.map(({ group, ...rest }) => rest);
}

/** One stop of the Tab key for a whole table; arrows move among the cells that open. */
function roam(holder) {
  const stops = () => $$(".tabulator-row", holder).map(row => $$("button.cell", row));
  const first = () => {
    if (!$("button.cell[tabindex='0']", holder)) $("button.cell", holder)?.setAttribute("tabindex", "0");
  };
  new MutationObserver(first).observe(holder, { childList: true, subtree: true });
  first();
  holder.addEventListener("keydown", event => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step || !event.target.matches("button.cell")) return;
    const rows = stops(), y = rows.findIndex(row => row.includes(event.target));
    const x = rows[y].indexOf(event.target), next = rows[y + step[0]]?.[x + step[1]];
    if (!next) return;
    event.preventDefault();
    for (const button of $$("button.cell[tabindex='0']", holder)) button.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}
