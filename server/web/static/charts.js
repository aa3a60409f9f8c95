"use strict";
// Draws each figure[data-chart] from the API's table that it names, and again when a round is out.
(() => {
  const library = document.currentScript.dataset.library; // absent where it stands in the page
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const X = "#2f6fb3", Z = "#c2571a", CARRIED = "#8b949e";
  const KINDS = { accepted: "#2e9e52", leased: X, queued: "#d29922", failed: "#d1442f", superseded: CARRIED, cancelled: CARRIED };

  const TICKS = 20;
  function rounded(items) {
    const last = Math.max(...items.map((each) => each.round));
    return { title: { text: "round" }, tick0: 0, dtick: Math.max(1, Math.ceil(last / TICKS)) };
  }

  function layout(more) {
    const ink = dark.matches ? "#e6e9ec" : "#1b1f23", line = dark.matches ? "#3a4149" : "#d0d7de";
    const axis = { gridcolor: line, zerolinecolor: line, automargin: true };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, family: "system-ui, sans-serif" },
      margin: { l: 50, r: 10, t: 40, b: 40 }, hoverlabel: { align: "left" },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
      height: 320, ...more, xaxis: { ...axis, ...more.xaxis }, yaxis: { ...axis, ...more.yaxis },
    };
  }

  // Names are shown, never run: plotly reads some HTML in texts.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const shown = (value) => (value === null ? "none" : value.toFixed(4));

  function grouped(items, key) {
    const found = new Map();
    for (const each of items) {
      const name = key(each);
      if (!found.has(name)) found.set(name, []);
      found.get(name).push(each);
    }
    return found;
  }

  function means(items, model) {
    const by = [...grouped(items.filter((each) => each[model] !== null), (each) => each.round)].sort((a, b) => a[0] - b[0]);
    return { x: by.map((each) => each[0]), y: by.map(([, rows]) => rows.reduce((sum, row) => sum + row[model], 0) / rows.length) };
  }

  const COLORS = ["#2f6fb3", "#c2571a", "#2e9e52", "#8250df", "#b35900", "#0e8a8a", "#bf3989", "#6e7781"];
  const draw = {
    losses(items, figure) {
      const client = chosen(figure, [...new Set(items.map((each) => each.client))].sort());
      const rows = client ? items.filter((each) => each.client === client) : items;
      const tasks = [...grouped(rows, (each) => each.task)].sort();
      const traces = tasks.flatMap(([task, some], index) => ["engaged", "personal"].map((model) => ({
        ...means(some, model), name: `${plain(task)}, ${model}`, mode: "lines+markers", marker: { size: 4 },
        line: { color: COLORS[index % COLORS.length], dash: model === "engaged" ? "dash" : "solid" },
      }))).filter((trace) => trace.x.length);
      return [traces, layout({ xaxis: rounded(rows), yaxis: { title: { text: "mean loss per sample" } } })];
    },

    replacements(items) {
      const rows = [...new Set(items.map((each) => `${each.client} ${each.task}`))].sort().reverse();
      const last = Math.max(...items.map((each) => each.round));
      const place = new Map(rows.map((row, index) => [row, index]));
      const z = rows.map(() => Array(last).fill(null)), text = rows.map(() => Array(last).fill(""));
      for (const each of items) {
        const row = place.get(`${each.client} ${each.task}`);
        z[row][each.round - 1] = each.personal_loss === null ? 2 : each.replaced ? 1 : 0;
        text[row][each.round - 1] = `${plain(each.client)}, ${plain(each.task)}, round ${each.round}: ` +
          `${each.personal_loss === null ? "first participation" : each.replaced ? "replaced" : "kept"}<br>` +
          `engaged ${shown(each.engaged_loss)} + margin ${shown(each.margin)} against personal ${shown(each.personal_loss)}`;
      }
      const trace = {
        type: "heatmap", x: [...Array(last).keys()].map((n) => n + 1), y: rows.map(plain), z, text, hovertemplate: "%{text}<extra></extra>",
        xgap: 1, ygap: 1, showscale: false, zmin: 0, zmax: 2, hoverongaps: false,
        colorscale: [[0, dark.matches ? "#3a4149" : "#d0d7de"], [0.5, Z], [1, "#8250df"]],
      };
      return [[trace], layout({ height: 120 + 18 * rows.length, xaxis: rounded(items), yaxis: { type: "category" } })];
    },

    traffic(phases) {
      const items = phases.filter((each) => each.phase === "train");
      const x = items.map((each) => each.round);
      const bars = [["bytes_down", "down", X], ["bytes_up", "up", Z]].map(([name, said, color]) => ({
        type: "bar", x, y: items.map((each) => each[name]), name: said, marker: { color },
      }));
      const full = { x, y: items.map((each) => each.bytes_full_exchange), name: "full state dicts", mode: "lines", line: { color: CARRIED, dash: "dot" } };
      return [[...bars, full], layout({ barmode: "group", xaxis: rounded(items), yaxis: { title: { text: "bytes" }, type: "log", exponentformat: "SI" } })];
    },

    timeline(items) {
      const now = new Date().toISOString();
      const traces = [...grouped(items, (each) => each.end ?? "leased")].map(([end, some]) => ({
        type: "bar", orientation: "h", name: end === "leased" ? "working" : end, marker: { color: KINDS[end] ?? CARRIED },
        base: some.map((each) => each.claimed_at), y: some.map((each) => plain(each.client)),
        x: some.map((each) => Date.parse(each.ended_at ?? now) - Date.parse(each.claimed_at)),
        text: some.map((each) => String(each.round)), textposition: "inside", insidetextanchor: "middle",
        hovertext: some.map((each) => `${plain(each.client)}, round ${each.round}, attempt ${each.attempt}: ${each.end ?? "working"}, ` +
          `${((Date.parse(each.ended_at ?? now) - Date.parse(each.claimed_at)) / 1000).toFixed(1)} s`),
        hovertemplate: "%{hovertext}<extra></extra>",
      }));
      const clients = new Set(items.map((each) => each.client));
      return [traces, layout({ barmode: "overlay", height: 120 + 22 * clients.size, xaxis: { type: "date" }, yaxis: { type: "category", categoryorder: "category descending" } })];
    },
  };

  // The choice of a client, made once for a figure.
  function chosen(figure, clients) {
    let select = figure.querySelector("select");
    if (!select) {
      const label = document.createElement("label");
      label.textContent = "Client ";
      select = document.createElement("select");
      select.append(new Option("all, mean", ""), ...clients.map((client) => new Option(client, client)));
      select.addEventListener("change", () => show(figure));
      label.append(select);
      figure.querySelector("figcaption").append(label);
    }
    return select.value;
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

  // All pages of a table; of a figure that stands alone, what was written beside it.
  async function rows(src) {
    if (src.startsWith("#")) return JSON.parse(document.querySelector(src).textContent);
    const found = [];
    for (let cursor = null; cursor !== undefined; ) {
      const asked = new URL(src, location.href);
      if (cursor) asked.searchParams.set("cursor", cursor);
      const answer = await fetch(asked);
      if (!answer.ok) throw new Error(`the server said ${answer.status}`);
      const page = await answer.json();
      found.push(...page.items);
      cursor = page.next ?? undefined;
    }
    return found;
  }

  async function show(figure) {
    const plot = figure.querySelector(".plot");
    figure.dataset.seen = "";
    try {
      const [items] = await Promise.all([rows(figure.dataset.src), loaded()]);
      if (!items.length) { say(plot, "Nothing yet."); return; }
      const [traces, how] = draw[figure.dataset.chart](items, figure);
      if (!plot.classList.contains("js-plotly-plot")) plot.replaceChildren();
      await Plotly.react(plot, traces, how, { responsive: true, displaylogo: false, displayModeBar: false });
    } catch (error) { say(plot, `It cannot be drawn now: ${error.message}.`); }
  }

  function say(plot, text) {
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
  const again = () => figures.filter((figure) => "seen" in figure.dataset).forEach((figure) => seen.observe(figure));
  document.addEventListener("tapestry:published", again);
  dark.addEventListener("change", again);
})();
