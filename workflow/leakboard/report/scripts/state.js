// What is open, sorted, compared and drawn is in the address: a link shows what its sender saw.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** An element with properties and children; text is text, whatever it holds. */
function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const state = new URLSearchParams();

function readAddress() {
  const hash = location.hash.slice(1);
  for (const key of [...state.keys()]) state.delete(key);
  if (hash.includes("=")) new URLSearchParams(hash).forEach((value, key) => state.set(key, value));
  return hash;
}

/** Change the state and the address; an empty value leaves the address. */
function remember(changes) {
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") state.delete(key);
    else state.set(key, value);
  }
  try {
    history.replaceState(null, "", state.size ? `#${state}` : location.pathname + location.search);
  } catch { /* a page inside a report may not change its address */ }
}

/** What a packed block holds: JSON, compressed, in base64. Each is read once, when it is needed. */
const unpacked = new Map();
function unpack(id) {
  if (!unpacked.has(id)) unpacked.set(id, read(document.getElementById(id)));
  return unpacked.get(id);
}

async function read(node) {
  return node ? (await inflated(node)).json() : null;
}

function inflated(node) {
  const bytes = Uint8Array.from(atob(node.textContent), letter => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}

/** The libraries of one use, run when they are first needed: the page's policy knows their texts. */
const loaded = new Map();
function load(use) {
  if (!loaded.has(use)) loaded.set(use, run($$(`script.library.${use}`)));
  return loaded.get(use);
}

async function run(nodes) {
  const texts = await Promise.all(nodes.map(node => inflated(node).text()));
  for (const text of texts) document.head.append(make("script", { textContent: text }));
}

/** The rows of a table that came column by column, its words by place. */
function rowsOf(table) {
  const names = Object.keys(table.columns);
  const worded = name => !numeric.has(name);
  return Array.from({ length: table.rows }, (_, i) => Object.fromEntries(names.map(name => {
    const value = table.columns[name][i];
    return [name, worded(name) ? table.words[value] : value];
  })));
}
const numeric = new Set(["seed", "value", "ci_low", "ci_high", "n", "reported", "difference", "p", "p_holm"]);

const dark = () => document.documentElement.dataset.theme === "dark" ||
  (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);

/** Do something when a part of the page comes near the window, once. */
function whenNear(node, act) {
  const watch = new IntersectionObserver(entries => {
    if (!entries.some(entry => entry.isIntersecting)) return;
    watch.disconnect();
    act();
  }, { rootMargin: "600px" });
  watch.observe(node);
}

const shortened = number => number === null ? "—" : String(Number(number.toPrecision(6)));
const escapeName = name => String(name).replace(/[^\w.-]+/g, "-");
