// The page: tracks, their parts, and what a reader chooses.

const boards = $$(".track").map((section, place) => ({
  section, id: section.id, track: section.dataset.track, place, built: [], core: null,
}));

/** Open one track and close the others; its tables are built the first time. */
async function openTrack(board) {
  const waiting = $("noscript", board.section);
  if (waiting) waiting.outerHTML = waiting.textContent;
  for (const other of boards) {
    other.section.classList.toggle("open", other === board);
    const link = $(`.tracks a[data-track="${other.place + 1}"]`);
    if (other === board) link?.setAttribute("aria-current", "true");
    else link?.removeAttribute("aria-current");
  }
  if (!board.ready) board.ready = prepare(board);
  await board.ready;
  redraw();
}

async function prepare(board) {
  const { section, id } = board;
  board.core = await unpack(`${id}-core`);
  const regions = Object.fromEntries($$("[data-name]", section).map(node => [node.dataset.name, node]));
  const construct = name => board.built[board.built.push(build(board, regions[name], board.core.tables[name])) - 1];
  const main = construct("board");
  board.text = (key, row) => {
    const place = main.numbers.columns.findIndex(column => column.key === key);
    return place < 0 || row < 0 ? "" : main.cells[row][place].text;
  };
  await new Promise(done => main.made.on("tableBuilt", done));
  tools(board, main);
  for (const name of Object.keys(regions)) if (name !== "board") {
    const around = regions[name].closest("details");
    const act = () => construct(name);
    if (around) around.addEventListener("toggle", act, { once: true });
    else if (regions[name].querySelector("thead tr:last-child")?.cells.length > 1) whenNear(regions[name], act);
  }
  choices(board);
  $$("[data-save]", section).forEach(button => button.addEventListener("click", () => {
    const name = button.dataset.chart;
    saveChart($(`.chart[data-chart="${name}"]`, section), button.dataset.save, `${escapeName(board.track)}-${name}`);
  }));
  const long = $("[data-numbers]", section);
  long?.addEventListener("toggle", () => everyNumber(board, long), { once: true });
  section.classList.add("ready");
  performance.mark("leakboard:ready");
}

/** Search, columns, filters and downloads above the ranked table. */
function tools(board, main) {
  const bar = $("[data-for='board']", board.section), { made, words, numbers, region } = main;
  const search = $("[data-search]", bar), count = $("[data-count]", bar);
  const few = $("[data-columns='few']", bar), all = $("[data-columns='all']", bar), filters = $("[data-filters]", bar);
  const look = text => {
    const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
    const haystack = i => [numbers.names[i], main.badges[i], ...words[i]].join(" ").toLowerCase();
    if (wanted.length) made.setFilter(data => wanted.every(word => haystack(data.row).includes(word)));
    else made.clearFilter();
  };
  made.on("dataFiltered", (_, rows) => {
    count.textContent = rows.length < numbers.names.length ? `${rows.length} of ${numbers.names.length}` : "";
    const set = made.getHeaderFilters().map(({ field, value }) => [keyOf(numbers, field), value]);
    remember({ f: set.length ? JSON.stringify(set) : null });
  });
  search.addEventListener("input", () => { look(search.value); remember({ q: search.value }); });
  const spread = wide => {
    few.ariaPressed = String(!wide); all.ariaPressed = String(wide);
    numbers.columns.forEach((column, place) => !column.essential && made[wide ? "showColumn" : "hideColumn"](`f${place}`));
  };
  few.addEventListener("click", () => { spread(false); remember({ cols: null }); });
  all.addEventListener("click", () => { spread(true); remember({ cols: "all" }); });
  const filtering = on => {
    filters.ariaPressed = String(on);
    region.classList.toggle("unfiltered", !on);
    made.redraw();
  };
  filters.addEventListener("click", () => filtering(region.classList.contains("unfiltered")));
  made.on("dataSorted", sorters => remember({ sort: sorters.map(s => `${keyOf(numbers, s.field)}:${s.dir}`).join(",") }));
  $$("[data-download]", bar).forEach(button => button.addEventListener("click", () => download(main, button.dataset.download, `${escapeName(board.track)}-leaderboard`)));
  board.apply = () => { // what the address says
    const asked = new URLSearchParams(state);
    search.value = asked.get("q") ?? "";
    if (search.value) look(search.value);
    if (asked.get("cols") === "all") spread(true);
    const set = parsed(asked.get("f")) ?? [];
    if (set.length) filtering(true);
    for (const [key, value] of set) made.setHeaderFilterValue(fieldOf(numbers, key), value);
    const order = (asked.get("sort") ?? "").split(",").filter(Boolean).map(each => [each.slice(0, each.lastIndexOf(":")), each.slice(each.lastIndexOf(":") + 1)]);
    const known = order.map(([key, dir]) => ({ column: fieldOf(numbers, key), dir })).filter(each => each.column && ["asc", "desc"].includes(each.dir));
    if (known.length) made.setSort(known);
    const cell = parsed(asked.get("cell"));
    if (Array.isArray(cell) && cell.length === 3 && cell.every(each => typeof each === "string")) openDrawer(board, ...cell);
    const part = document.getElementById(`${board.id}-${asked.get("at")}`);
    if (part) part.scrollIntoView();
  };
}

const keyOf = (numbers, field) => field === "name" ? "name" : numbers.columns[Number(field.slice(1))]?.key;
const fieldOf = (numbers, key) => key === "name" ? "name" : (place => place < 0 ? null : `f${place}`)(numbers.columns.findIndex(column => column.key === key));
function parsed(text) {
  try { return text ? JSON.parse(text) : null; } catch { return null; }
}

/** What the charts and the comparison show: selects and chips, from the address or at first sight. */
function choices(board) {
  const { section, core } = board, names = core.tables.board.names;
  const chart = name => $(`.chart[data-chart="${name}"]`, section);
  const chosen = {};
  const select = (key, options, first, act) => {
    const node = $(`select[data-option="${key}"]`, section);
    if (!node || !options.length) return;
    node.append(...options.map(([value, text]) => make("option", { value }, text)));
    const asked = state.get(key);
    node.value = chosen[key] = options.some(([value]) => value === asked) ? asked : first;
    node.addEventListener("change", () => { chosen[key] = node.value; remember({ [key]: node.value }); act(); });
  };
  const contest = core.entries.filter(entry => !entry.unranked).map(entry => entry.name);
  const without = (core.entries.find(entry => entry.role === "undefended") ?? core.entries[0])?.name;
  const first = [...new Set([without, ...contest, ...names])].slice(0, 5);
  const chips = (key, act) => {
    const node = $(`fieldset[data-option="${key}"]`, section);
    if (!node) return;
    const asked = parsed(state.get(key));
    chosen[key] = Array.isArray(asked) ? asked.filter(name => names.includes(name)).slice(0, 7) : first;
    const boxes = names.map(name => make("input", { type: "checkbox", value: name, checked: chosen[key].includes(name) }));
    const limit = () => boxes.forEach(box => { box.disabled = !box.checked && chosen[key].length >= 7; });
    boxes.forEach(box => box.addEventListener("change", () => {
      chosen[key] = boxes.filter(each => each.checked).map(each => each.value);
      limit();
      remember({ [key]: JSON.stringify(chosen[key]) });
      act();
    }));
    limit();
    node.append(...boxes.map((box, i) => make("label", {}, box, names[i])));
  };
  const columns = core.tables.board.columns.filter(column => column.value);
  const named = column => [column.key, column.group.startsWith("Attacker") ? `${column.title}, ${column.group.replace("Attacker sees ", "")}` : column.title];
  const tradeoff = () => drawTradeoff(board, chart("tradeoff"), chosen);
  select("y", columns.filter(c => c.kind === "rate" || c.kind === "auc").map(named), "copy_rate", tradeoff);
  select("size", columns.filter(c => c.group === "Cost").map(named), "sampling_ratio", tradeoff);
  whenNear(chart("tradeoff"), tradeoff);
  if (chart("pair-roc")) {
    const part = chart("pair-roc").closest(".part"), compare = () => drawComparison(board, part, chosen.a, chosen.b);
    const other = contest.find(name => name !== without) ?? names.find(name => name !== without) ?? names[0];
    select("a", names.map(name => [name, name]), other, compare);
    select("b", names.map(name => [name, name]), without, compare);
    $("[data-swap]", part).addEventListener("click", () => {
      [chosen.a, chosen.b] = [chosen.b, chosen.a];
      for (const key of ["a", "b"]) $(`select[data-option="${key}"]`, part).value = chosen[key];
      remember({ a: chosen.a, b: chosen.b });
      compare();
    });
    whenNear(part, compare);
  }
  if (chart("roc")) {
    const roc = () => drawRoc(board, chart("roc"), chosen.attack, chosen.show);
    const heats = ["images", "predictor", "weights"].flatMap(sees => core.tables[sees]?.columns ?? []);
    select("attack", heats.map(column => [column.key, `${column.title}, sees the ${column.key.slice(column.key.lastIndexOf("|") + 1)}`]), heats[0]?.key, roc);
    chips("show", roc);
    if (chosen.attack) whenNear(chart("roc"), roc);
  }
  if (chart("similarity")) {
    const alike = () => drawSimilarity(board, chart("similarity"), chosen.like);
    chips("like", alike);
    whenNear(chart("similarity"), alike);
  }
}

/** Every measurement of the track: searched, sorted and filtered by Tabulator. */
async function everyNumber(board, details) {
  const rows = rowsOf(await unpack(`${board.id}-measurements`)).map(row => ({ ...row, interval: row.ci_low }));
  const names = ["seed", "defense", "sampler", "attack", "sees", "metric", "value", "interval", "n", "unit", "better", "reported", "status", "note", "digest"];
  const ends = row => row.ci_low === null ? "" : `${shortened(row.ci_low)} to ${shortened(row.ci_high)}`;
  const column = name => ({
    title: "", field: name, sorter, headerFilter: "input", ...saved(name),
    titleFormatter: () => head(name), visible: !["sampler", "unit", "better", "reported"].includes(name), ...(name === "interval" ? { download: false } : {}),
    minWidth: { metric: 210, defense: 130, note: 220, interval: 190, digest: 160, value: 100 }[name] ?? 84, cssClass: numeric.has(name) ? "number" : "words",
    headerFilterFunc: (wanted, value) => passes(wanted, value, String(value ?? "")),
    formatter: cell => {
      const row = cell.getData(), value = row[name];
      return make("span", {}, name === "interval" ? ends(row) : numeric.has(name) ? value === null ? name === "value" ? `— ${row.status}` : "" : shortened(value) : value);
    },
  });
  const limits = ["ci_low", "ci_high"].map(name => ({ title: "", field: name, visible: false, ...saved(name) }));
  const made = new Tabulator($("[data-long]", details), {
    data: rows, columns: [...names.map(column), ...limits], layout: "fitColumns", height: "70vh", nestedFieldSeparator: false,
    headerSortTristate: true, placeholder: "No row has all of this", index: "none",
  });
  const search = $("[data-search]", details), count = $("[data-count]", details);
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const texts = row => names.map(name => row[name] ?? "").join(" ").toLowerCase();
    made.setFilter(row => wanted.every(word => texts(row).includes(word)));
  });
  made.on("dataFiltered", (_, found) => { count.textContent = found.length < rows.length ? `${found.length} of ${rows.length}` : ""; });
  $$("[data-download]", details).forEach(button => button.addEventListener("click", () => download({ made }, button.dataset.download, `${escapeName(board.track)}-measurements`)));
}

// Colors
const themes = $(".themes");
themes.hidden = false;
function color(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  for (const button of $$("[data-theme]", themes)) button.ariaPressed = String(button.dataset.theme === (dark() ? "dark" : "light"));
}
themes.addEventListener("click", event => {
  const name = event.target.dataset?.theme;
  if (!name) return;
  color(name);
  remember({ theme: name });
  redraw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { color(state.get("theme")); redraw(); });
let width = innerWidth, waiting;
addEventListener("resize", () => {
  if (innerWidth === width) return; // a phone's address bar
  width = innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(redraw, 150);
});

// Links within the page keep the rest of the address
document.addEventListener("click", event => {
  const link = event.target.closest("a[href^='#']");
  if (!link || event.metaKey || event.ctrlKey) return;
  const board = boards.find(each => link.getAttribute("href").startsWith(`#${each.id}`));
  if (!board) return;
  event.preventDefault();
  const part = link.getAttribute("href").slice(board.id.length + 2);
  if (part) {
    remember({ at: part });
    document.getElementById(`${board.id}-${part}`).scrollIntoView();
  } else {
    for (const key of [...state.keys()]) if (key !== "theme") state.delete(key);
    remember({ track: board.track });
    openTrack(board);
  }
});

async function start() {
  const hash = readAddress();
  color(["light", "dark"].includes(state.get("theme")) ? state.get("theme") : null);
  const board = boards.find(each => each.track === state.get("track")) ?? boards.find(each => hash.startsWith(each.id)) ?? boards[0];
  if (!board) return;
  await openTrack(board);
  board.apply();
}
addEventListener("hashchange", () => location.reload());
start();
