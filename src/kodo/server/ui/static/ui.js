/* What the pages do besides links and forms. No page needs it to be read. */
"use strict";

document.documentElement.classList.add("scripted");

const csrf = () => document.querySelector('meta[name="csrf"]')?.content ?? "";

/* --- times in the reader's own zone -------------------------------------------------------------------------------- */

function localizeTimes(root) {
  const format = new Intl.DateTimeFormat(document.documentElement.lang, {
    month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  });
  for (const element of root.querySelectorAll("time[data-local]")) {
    element.title = element.dateTime;
    element.textContent = format.format(new Date(element.dateTime));
    element.removeAttribute("data-local");
  }
}

/* --- small helpers ------------------------------------------------------------------------------------------------- */

document.addEventListener("click", async (event) => {
  const copier = event.target.closest("[data-copy], [data-copy-from]");
  if (copier) {
    const from = copier.dataset.copyFrom && document.getElementById(copier.dataset.copyFrom);
    await navigator.clipboard?.writeText(from ? from.textContent : copier.dataset.copy);
    const text = copier.textContent;
    copier.textContent = copier.dataset.copied;
    setTimeout(() => { copier.textContent = text; }, 1500);
  }
  const menu = event.target.closest("[data-menu]");
  if (menu) {
    const open = document.getElementById("side-menu").classList.toggle("open");
    menu.setAttribute("aria-expanded", String(open));
  }
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-autosubmit]")) event.target.form.requestSubmit();
});
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

/* --- keyboard ------------------------------------------------------------------------------------------------------ */

const PLACES = { o: "/ui", r: "/ui/requests", l: "/ui/live", b: "/ui/batches", p: "/ui/playground" };
let goes = false;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
  if (goes && PLACES[event.key]) { location.href = PLACES[event.key]; return; }
  goes = event.key === "g";
  if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (search) { search.focus(); event.preventDefault(); }
  }
  if (event.key === "j" || event.key === "k") moveRow(event.key === "j" ? 1 : -1);
});

function moveRow(step) {
  const rows = [...document.querySelectorAll("[data-rows] tbody tr")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.classList.contains("at"));
  const next = Math.min(Math.max(at + step, 0), rows.length - 1);
  rows[at]?.classList.remove("at");
  rows[next].classList.add("at");
  rows[next].querySelector("a")?.focus();
}

/* --- live numbers -------------------------------------------------------------------------------------------------- */

function followNumbers() {
  const bar = document.querySelector("[data-live-url]");
  if (!bar) return;
  const source = new EventSource(bar.dataset.liveUrl);
  source.onopen = () => bar.classList.add("connected");
  source.onerror = () => bar.classList.remove("connected");
  source.onmessage = (event) => {
    const numbers = JSON.parse(event.data);
    for (const element of document.querySelectorAll("[data-live]")) {
      let value = numbers[element.dataset.live];
      if (element.dataset.live.startsWith("engines.")) {
        const [, name, kind] = element.dataset.live.match(/^engines\.(.*)\.(\w+)$/);
        value = numbers.engines?.[name]?.[kind];
      }
      if (value !== undefined) element.textContent = Number(value).toLocaleString("en");
    }
  };
  addEventListener("pagehide", () => source.close());
}

/* --- plots --------------------------------------------------------------------------------------------------------- */

const STACKED = { requests: true, tokens: true };
const COLOURS = {
  ok: "--plot-1", failed: "--plot-bad", uncached: "--plot-1", cached: "--plot-2", output: "--plot-3",
  first_token_median: "--plot-1", first_token_95: "--plot-3", tokens_per_second: "--plot-2", cost: "--plot-1", list_cost: "--plot-3",
};

function shortNumber(value) {
  if (value === null || value === undefined) return "—";
  for (const [limit, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= limit) return `${+(value / limit).toPrecision(3)}${unit}`;
  }
  return String(+value.toPrecision(3));
}

function drawPlots() {
  const place = document.querySelector("[data-plots]");
  if (!place || typeof uPlot === "undefined") return;
  const figures = [...place.querySelectorAll("[data-plot]")];
  const plots = new Map();
  const probe = place.appendChild(Object.assign(document.createElement("i"), { hidden: true })); // resolves a colour for the canvas
  const colour = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };

  let axisTime = String;

  function timeFormat(times) {
    const span = times[times.length - 1] - times[0];
    const parts = span > 3 * 86400 ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    const format = new Intl.DateTimeFormat(document.documentElement.lang, parts);
    return (seconds) => format.format(new Date(seconds * 1000));
  }

  function columns(figure, data) {
    const keys = [1, 2, 3].map((number) => figure.getAttribute(`data-series-${number}`)).filter(Boolean);
    const values = keys.map((key) => data[key]);
    if (!STACKED[figure.dataset.plot]) return { keys, values, shown: values };
    const sums = data.times.map(() => 0);
    const shown = values.map((column) => column.map((value, at) => (sums[at] += value)));
    return { keys, values, shown };
  }

  function make(figure, data) {
    const { keys, values, shown } = columns(figure, data);
    const stacked = STACKED[figure.dataset.plot];
    const area = figure.querySelector(".plot-area");
    const order = stacked ? [...keys.keys()].reverse() : [...keys.keys()];
    const edge = stacked ? (data.times[1] - data.times[0]) / 2 : 0; // the first and the last bar are whole
    const bars = stacked ? uPlot.paths.bars({ size: [0.72, 28], radius: 0.12 }) : undefined;
    const axis = { stroke: colour("--muted"), font: "11px Inter, sans-serif", grid: { stroke: colour("--plot-grid"), width: 1 }, ticks: { show: false } };
    const plot = new uPlot({
      width: area.clientWidth, height: 176, padding: [8, 16, 0, 0], cursor: { y: false, points: { size: 6 } },
      legend: { live: true },
      scales: { x: { time: true, range: (_, first, last) => [first - edge, last + edge] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [
        { ...axis, grid: { show: false }, space: 70, size: 28, values: (_, ticks) => ticks.map(axisTime) },
        { ...axis, size: 46, values: (_, ticks) => ticks.map(shortNumber), space: 36 },
      ],
      series: [
        { label: figure.dataset.time, value: (_, at) => (at === null ? "" : axisTime(at)) },
        ...order.map((at) => ({
          label: figure.getAttribute(`data-label-${at + 1}`),
          stroke: colour(COLOURS[keys[at]]),
          fill: stacked ? colour(COLOURS[keys[at]]) : undefined,
          width: stacked ? 0 : 1.75, paths: bars, points: { show: !stacked && shown[at].filter((value) => value !== null).length < 13, size: 4.5, fill: colour(COLOURS[keys[at]]) }, spanGaps: true,
          value: (self, _, number, index) => shortNumber(index === null || index === undefined ? null : self.raw?.[at]?.[index]),
        })),
      ],
    }, [data.times, ...order.map((at) => shown[at])], area);
    plot.raw = values;
    plots.set(figure, plot);
  }

  async function refresh() {
    if (document.hidden) return;
    const answer = await fetch(place.dataset.plots, { headers: { accept: "application/json" } });
    if (!answer.ok) return;
    const data = await answer.json();
    axisTime = timeFormat(data.times);
    for (const figure of figures) {
      plots.get(figure)?.destroy();
      make(figure, data);
    }
    place.classList.add("drawn");
  }

  refresh();
  setInterval(refresh, 15000);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  new ResizeObserver(() => {
    for (const [figure, plot] of plots) plot.setSize({ width: figure.querySelector(".plot-area").clientWidth, height: 176 });
  }).observe(place);
}

/* --- a response that is being made --------------------------------------------------------------------------------- */

function followStream(place) {
  const view = new AnswerView(place);
  const source = new EventSource(place.dataset.stream);
  for (const type of AnswerView.TYPES) source.addEventListener(type, (event) => view.take(type, JSON.parse(event.data)));
  source.addEventListener("kodo.end", () => {
    source.close();
    place.dataset.ended = "true";
    setTimeout(() => location.reload(), 400);
  });
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) place.dataset.ended = "true"; };
  addEventListener("pagehide", () => source.close());
}

/* --- begin --------------------------------------------------------------------------------------------------------- */

localizeTimes(document);
document.addEventListener("htmx:after:swap", () => localizeTimes(document));
followNumbers();
drawPlots();
document.querySelectorAll("[data-stream]").forEach(followStream);
