"use strict";
// Draws each figure[data-chart] from the API's table that it names, and again when a version is out;
// the same numbers stand under it as a table, for who cannot see it or point at it.
(() => {
  const library = document.currentScript.dataset.library; // absent where it stands in the page
  const MOST_ROWS = 200, MOST_ROWS_ALONE = 5000; // a file that stands alone has no link to all of them

  const ANSWERED_WITHIN_MS = 30000;
  const FAILED = "failed";

  const alone = (figure) => figure.dataset.src.startsWith("#");

  // The table under a figure, made when it is opened.
  function tabulate(figure, items) {
    const details = figure.querySelector(".numbers");
    if (!details.open) return;
    const [heads, rows] = charts.told[figure.dataset.chart](items);
    const most = alone(figure) ? MOST_ROWS_ALONE : MOST_ROWS;
    const table = document.createElement("table");
    table.createCaption().textContent = rows.length > most ? `The newest ${most} of ${rows.length} rows.` : `${rows.length} rows, the newest first.`;
    line(table.createTHead(), heads, () => "col");
    const place = table.createTBody();
    for (const row of rows.slice(0, most)) line(place, row, (n) => (n ? null : "row"));
    details.querySelector(".wide").replaceChildren(table);
  }

  // A row of a table; `scope` says of which cells the n-th is the head, if it is one.
  function line(place, cells, scope) {
    const row = place.insertRow();
    cells.forEach((text, n) => {
      const cell = document.createElement(scope(n) ? "th" : "td");
      if (scope(n)) cell.scope = scope(n);
      cell.textContent = text;
      row.append(cell);
    });
  }

  // The rows of the client that the reader has chosen; all of them before.
  function narrowed(items, figure) {
    if (figure.dataset.chart !== "losses") return items;
    const client = chosen(figure, new Set(items.map((each) => each.client)));
    return client ? items.filter((each) => each.client === client) : items;
  }

  // The choice of a client; those that come later find their place in it.
  function chosen(figure, clients) {
    let select = figure.querySelector("select");
    if (!select) {
      const label = document.createElement("label");
      label.textContent = "Client ";
      select = document.createElement("select");
      select.append(new Option("all, mean", ""));
      select.addEventListener("change", () => show(figure));
      label.append(select);
      figure.querySelector("figcaption").append(" ", label);
    }
    for (const client of clients) {
      const there = [...select.options];
      if (there.some((each) => each.value === client)) continue;
      select.add(new Option(client, client), there.find((each) => each.value > client) ?? null);
    }
    return select.value;
  }

  // A figure of so many rounds follows the newest ones, unless the reader turns back.
  function turned(figure) {
    const round = Number(document.body.dataset.round), many = Number(figure.dataset.last);
    const end = Math.max(round - many, 0), behind = Math.min(Number(figure.dataset.behind ?? end), end);
    const turning = figure.querySelector(".turn") ?? turner(figure);
    const [earlier, said, later] = turning.children;
    turning.hidden = !end;
    earlier.ariaDisabled = behind <= 0;
    later.ariaDisabled = behind >= end;
    said.textContent = `Rounds ${behind + 1} to ${Math.min(behind + many, round)}`;
    return { behind, end };
  }

  function turner(figure) {
    const made = document.createElement("p"), said = document.createElement("span");
    const button = (text, pages) => {
      const each = document.createElement("button");
      each.type = "button";
      each.textContent = text;
      each.addEventListener("click", () => turn(figure, pages * Number(figure.dataset.last)));
      return each;
    };
    made.className = "turn";
    said.role = "status";
    made.append(button("Earlier rounds", -1), said, button("Later rounds", 1));
    figure.querySelector(".plot").after(made);
    return made;
  }

  function turn(figure, step) {
    const { behind, end } = turned(figure);
    if (behind + step >= end) delete figure.dataset.behind;
    else figure.dataset.behind = Math.max(behind + step, 0);
    show(figure);
  }

  // The library is large: it is loaded for the first figure that comes into sight.
  let loading = null;
  function loaded() {
    loading ??= window.Plotly ? Promise.resolve() : new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = library;
      script.onload = done;
      script.onerror = () => { loading = null; failed(new Error("the figures' library did not come")); };
      document.head.append(script);
    });
    return loading;
  }

  // Which rows a figure lacks: some rounds of its own, or what has come to those that it has. The
  // newest round may not be over: it is asked for again.
  function asked(figure, has) {
    const found = new URL(figure.dataset.src, location.href);
    if (figure.dataset.last) {
      found.searchParams.set("limit", figure.dataset.last);
      found.searchParams.set("after_round", turned(figure).behind);
      figure.querySelector(".json").href = found.pathname + found.search;
    } else if (has.length) found.searchParams.set("after_round", charts.newest(has) - 1);
    return found;
  }

  const kept = new WeakMap(); // the rows of each figure
  async function rows(figure) {
    if (alone(figure)) return JSON.parse(document.querySelector(figure.dataset.src).textContent);
    const has = figure.dataset.last ? [] : kept.get(figure) ?? [], last = charts.newest(has);
    const found = has.filter((each) => each.round < last);
    const address = asked(figure, has);
    for (let cursor = null; cursor !== undefined; ) {
      if (cursor) address.searchParams.set("cursor", cursor);
      const answer = await fetch(address, { signal: AbortSignal.timeout(ANSWERED_WITHIN_MS) });
      if (!answer.ok) throw new Error(`the server said ${answer.status}`);
      const page = await answer.json();
      found.push(...page.items);
      cursor = figure.dataset.last ? undefined : page.next ?? undefined;
    }
    return found;
  }

  // A figure is drawn again for another version; one of the newest rounds also for another round.
  function mark(figure) {
    const { version = "", round } = document.body.dataset;
    return figure.dataset.last ? `${version}, ${round}` : version;
  }

  const newest = new WeakMap(); // the newest drawing of each figure
  async function show(figure) {
    const mine = {};
    newest.set(figure, mine);
    figure.dataset.drawn = mark(figure);
    const comes = loaded();
    comes.catch(() => null); // told below, when the rows are here
    try {
      const found = await rows(figure);
      if (newest.get(figure) !== mine) return;
      kept.set(figure, found);
      const items = narrowed(found, figure);
      tabulate(figure, items);
      await comes;
      await inTurn(() => newest.get(figure) === mine && plotted(figure, items));
    } catch (error) {
      if (newest.get(figure) === mine) figure.dataset.drawn = FAILED; // tried again with the next renewal
      say(figure, `It cannot be drawn now: ${error.message}.`);
    }
  }

  // Reading the library and each drawing take the browser whole: what happens is told in between.
  let before = Promise.resolve();
  function inTurn(draw) {
    const drawn = before.then(() => new Promise((next) => setTimeout(next))).then(draw);
    before = drawn.catch(() => null);
    return drawn;
  }

  async function plotted(figure, items) {
    const plot = figure.querySelector(".plot"), drawn = plot.classList.contains("js-plotly-plot");
    if (!items.length && !drawn) { say(figure, "Nothing yet."); return; }
    const [traces, how] = charts.draw[figure.dataset.chart](items);
    if (!drawn) plot.replaceChildren();
    plot.role = "img";
    plot.ariaLabel = figure.querySelector("figcaption strong").textContent;
    await Plotly.react(plot, traces, how, { responsive: true, displaylogo: false, displayModeBar: false });
  }

  function say(figure, text) {
    const plot = figure.querySelector(".plot");
    if (plot.classList.contains("js-plotly-plot")) return; // what was drawn stays
    const line = document.createElement("p");
    line.className = "soft";
    line.textContent = text;
    plot.replaceChildren(line);
  }

  const figures = [...document.querySelectorAll("figure[data-chart]")];
  const seen = new IntersectionObserver((entries) => entries.filter((each) => each.isIntersecting).forEach(({ target }) => {
    seen.unobserve(target);
    show(target);
  }), { rootMargin: "200px" });
  figures.forEach((figure) => seen.observe(figure));
  for (const figure of figures) {
    figure.querySelector(".numbers").addEventListener("toggle", () => tabulate(figure, narrowed(kept.get(figure) ?? [], figure)));
  }
  const again = (which) => figures.filter((each) => "drawn" in each.dataset && which(each)).forEach((each) => seen.observe(each));
  document.addEventListener("tapestry:renewed", () => again((each) => each.dataset.drawn !== mark(each)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => again(() => true));
})();
