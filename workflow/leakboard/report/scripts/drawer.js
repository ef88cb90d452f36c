// The drawer: everything behind one number.

const PLAIN = "|", EXTRACTED = "*|extraction";

/** Open the drawer on a defense and what its cell opens: "attack|sees", or one of the above. */
async function openDrawer(board, defense, opens, key) {
  const dialog = $("#drawer"), content = make("div", { className: "content" });
  const at = opens.lastIndexOf("|"), [attack, sees] = [opens.slice(0, at), opens.slice(at + 1)];
  const what = opens === PLAIN ? "Pictures drawn plainly" : opens === EXTRACTED ? "Extraction attacks" : `${attack} on the ${sees}`;
  const close = make("button", { type: "button", className: "close" }, "Close");
  close.addEventListener("click", () => dialog.close());
  const title = make("h2", { id: "drawer-title" }, `${what}: ${defense}`);
  dialog.replaceChildren(make("header", {}, make("div", {}, make("p", { className: "brand" }, board.track), title), close), content);
  if (!dialog.open) dialog.showModal();
  document.documentElement.classList.add("drawer-open");
  remember({ cell: JSON.stringify([defense, opens, key ?? ""]) });
  content.append(...headline(board, defense, opens, key));
  const [rows, files, config] = await Promise.all(["measurements", "cells", "config"].map(part => unpack(`${board.id}-${part}`)));
  const mine = each => each.defense === defense && (
    opens === PLAIN ? !each.attack && !each.sees :
    opens === EXTRACTED ? each.attack && /^(ams|ums|extracted|precision)/.test(each.metric ?? "ams") :
    each.attack === attack && each.sees === sees);
  content.append(...measuredBy(rows && rowsOf(rows).filter(mine), board));
  content.append(...madeFrom(files ?? [], mine, opens, board));
  content.append(...configured(config ?? {}, defense, attack));
}

/** What the names of a cell mean: the entries of its defense, its networks and its attack. */
function configured(config, defense, attack) {
  const own = config.defenses?.[defense], how = config.attacks?.[attack];
  if (!own && !how) return [];
  const used = [...(own?.denoisers ?? []), own?.classifier].filter(name => config.networks?.[name]);
  const networks = Object.fromEntries(used.map(name => [name, config.networks[name]]));
  const shown = { ...(own ? { [defense]: own } : {}), ...networks, ...(how ? { [attack]: how } : {}), ...(config.track ? { track: config.track } : {}) };
  return [make("h3", {}, "Resolved configuration"), make("pre", { tabIndex: 0 }, JSON.stringify(shown, null, 2))];
}

/** The number that was opened, as it stands in its table. */
function headline(board, defense, opens, key) {
  for (const { numbers, cells } of board.built) {
    const row = numbers.names.indexOf(defense);
    const place = numbers.columns.findIndex(column => column.key === key);
    if (row < 0 || place < 0) continue;
    const cell = cells[row][place], column = numbers.columns[place];
    const line = make("p", { className: "headline" }, cell.text || "—");
    if (cell.mark) line.append(make("sup", {}, cell.mark));
    line.append(make("small", {}, ` ${numbers.kind === "heat" ? `AUC of ${column.title}` : column.title}${cell.under.length ? `; ${cell.under.join("; ")}` : ""}${cell.text ? "" : `: ${cell.reason}`}`));
    const found = [line], board_ = numbers.kind === "board" && board.core.entries[row];
    if (board_ && board_.unranked) found.push(make("p", { className: "soft" }, `Not ranked: ${board_.unranked}.`));
    return found;
  }
  return [];
}

/** Every measurement of the cell, as a table. */
function measuredBy(rows, board) {
  const head = make("h3", {}, "Measurements");
  if (!rows) return [head, make("p", { className: "soft" }, `Too many for this page: they are in results/${board.track}/measurements.csv.`)];
  if (!rows.length) return [head, make("p", { className: "soft" }, "Nothing was measured.")];
  const some = rows.some(row => row.attack !== rows[0].attack);
  const names = ["seed", ...(some ? ["attack"] : []), "metric", "value", "interval", "n", "note"];
  const body = rows.map(row => make("tr", {}, ...names.map(name => {
    if (name === "interval") return make("td", {}, row.ci_low === null ? "" : `${shortened(row.ci_low)} to ${shortened(row.ci_high)}`);
    if (name === "value") return make("td", {}, row.value === null ? `— ${row.status}` : shortened(row.value));
    return make("td", {}, row[name] === null ? "" : String(row[name]));
  })));
  const digests = [...new Set(rows.map(row => row.digest).filter(Boolean))];
  const seeds = [...new Set(rows.map(row => row.seed).filter(seed => seed !== null))];
  const heads = make("tr", {}, ...names.map(name => make("th", { scope: "col" }, name)));
  const table = make("table", {}, make("thead", {}, heads), make("tbody", {}, ...body));
  return [
    facts([["Seeds", seeds.join(", ")], ["Digests", digests.join(", ")]]), head,
    make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Measurements of this cell" }, table),
  ];
}

function facts(pairs) {
  const list = make("dl", { className: "facts" });
  for (const [name, text] of pairs) if (text) list.append(make("dt", {}, name), make("dd", {}, ...[text].flat()));
  return list;
}

/** The files that these measurements are in: made from what, how to make them anew, where it logged. */
function madeFrom(files, mine, opens, board) {
  const found = [];
  for (const file of files) {
    const cells = file.cells.map(([defense, attack, sees, sampler, seed, spec]) => ({ defense, attack, sees, sampler, seed, spec }));
    const here = cells.filter(cell => mine(cell) && (opens !== EXTRACTED || file.stage === "extraction"));
    if (!here.length) continue;
    const spec = { ...file.spec, ...(cells.length > 1 || here[0].spec.about ? { cells: here.map(cell => cell.spec) } : {}) };
    // of what all defenses share, only the files that this cell names: its targets' or its own
    const named = here.flatMap(cell => cell.spec.targets ?? (cell.spec.features ? [cell.defense] : []));
    const alone = kind => file.inputs.filter(([other]) => other === kind).length === 1;
    const inputs = named.length && cells.length > 1
      ? file.inputs.filter(([kind, path]) => alone(kind) || named.some(name => path.includes(`/${name}/`))) : file.inputs;
    const list = make("dl", { className: "facts" }, ...inputs.flatMap(([kind, path, sha]) => [make("dt", {}, kind), make("dd", {}, code(path), ` sha256 ${sha}…`)]));
    found.push(
      make("h3", {}, `${file.stage}${here[0].seed === null || here[0].seed === undefined ? "" : `, seed ${here[0].seed}`}`),
      facts([["File", code(file.path)], ["Log", file.log && code(file.log)]]),
      make("p", { className: "soft" }, "To make it anew:"), make("pre", { tabIndex: 0 }, file.command),
      ...(inputs.length > 6 ? [make("details", {}, make("summary", {}, `Made from ${inputs.length} files`), list)]
        : inputs.length ? [make("p", { className: "soft" }, "Made from:"), list] : []),
      ...(Object.keys(spec).length ? [make("details", {}, make("summary", {}, "Its spec"), make("pre", { tabIndex: 0 }, JSON.stringify(spec, null, 2)))] : []),
    );
  }
  if (!found.length) found.push(make("p", { className: "soft" }, `What it was made from is beside the numbers, in results/${board.track}/measurements/.`));
  return found;
}

const code = text => make("code", {}, text);

$("#drawer").addEventListener("close", () => {
  document.documentElement.classList.remove("drawer-open");
  remember({ cell: null });
});
$("#drawer").addEventListener("click", event => event.target === event.currentTarget && event.currentTarget.close());
