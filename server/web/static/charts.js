"use strict";
// How each kind of figure is drawn from a table's rows, and what of them stands in the table under it.
const charts = (() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const X = "#2f6fb3", Z = "#c2571a", CARRIED = "#8b949e";
  const KINDS = { accepted: "#2e9e52", leased: X, queued: "#d29922", failed: "#d1442f", superseded: CARRIED, cancelled: CARRIED };

  const TICKS = 20;
  const newest = (items) => items.reduce((last, each) => Math.max(last, each.round), 0);
  function rounded(items) {
    const last = newest(items);
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

  const trained = (phases) => phases.filter((each) => each.phase === "train");
  const decided = (each) => (each.personal_loss === null ? "first participation" : each.replaced ? "replaced" : "kept");
  const { now } = document.body.dataset; // by the server's clock; a report has none
  const skew = now ? Date.parse(now) - Date.now() : 0;
  const ended = (each) => (each.ended_at ? Date.parse(each.ended_at) : Date.now() + skew);
  const lasted = (each) => Math.max(ended(each) - Date.parse(each.claimed_at), 0);
  // Plotly knows no zones: a moment as the reader's clock shows it.
  function onClock(moment) {
    const at = new Date(moment);
    return new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, -1);
  }

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
    losses(rows) {
      const tasks = [...grouped(rows, (each) => each.task)].sort();
      const traces = tasks.flatMap(([task, some], index) => ["engaged", "personal"].map((model) => ({
        ...means(some, model), name: `${plain(task)}, ${model}`, mode: "lines+markers", marker: { size: 4 },
        line: { color: COLORS[index % COLORS.length], dash: model === "engaged" ? "dash" : "solid" },
      }))).filter((trace) => trace.x.length);
      return [traces, layout({ xaxis: rounded(rows), yaxis: { title: { text: "mean loss per sample" } } })];
    },

    replacements(items) {
      const rows = [...new Set(items.map((each) => `${each.client} ${each.task}`))].sort().reverse();
      const last = newest(items);
      const place = new Map(rows.map((row, index) => [row, index]));
      const z = rows.map(() => Array(last).fill(null)), text = rows.map(() => Array(last).fill(""));
      for (const each of items) {
        const row = place.get(`${each.client} ${each.task}`);
        z[row][each.round - 1] = each.personal_loss === null ? 2 : each.replaced ? 1 : 0;
        text[row][each.round - 1] = `${plain(each.client)}, ${plain(each.task)}, round ${each.round}: ` +
          `${decided(each)}<br>` +
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
      const items = trained(phases);
      const x = items.map((each) => each.round);
      const bars = [["bytes_down", "down", X], ["bytes_up", "up", Z]].map(([name, said, color]) => ({
        type: "bar", x, y: items.map((each) => each[name]), name: said, marker: { color },
      }));
      const full = { x, y: items.map((each) => each.bytes_full_exchange), name: "full state dicts", mode: "lines", line: { color: CARRIED, dash: "dot" } };
      return [[...bars, full], layout({ barmode: "group", xaxis: rounded(items), yaxis: { title: { text: "bytes" }, rangemode: "tozero", exponentformat: "SI" } })];
    },

    timeline(items) {
      const traces = [...grouped(items, (each) => each.end ?? "leased")].map(([end, some]) => ({
        type: "bar", orientation: "h", name: end === "leased" ? "working" : end, marker: { color: KINDS[end] ?? CARRIED },
        base: some.map((each) => onClock(each.claimed_at)), y: some.map((each) => plain(each.client)),
        x: some.map(lasted),
        text: some.map((each) => String(each.round)), textposition: "inside", insidetextanchor: "middle",
        hovertext: some.map((each) => `${plain(each.client)}, round ${each.round}, attempt ${each.attempt}: ${each.end ?? "working"}, ` +
          `${(lasted(each) / 1000).toFixed(1)} s`),
        hovertemplate: "%{hovertext}<extra></extra>",
      }));
      const clients = new Set(items.map((each) => each.client));
      return [traces, layout({ barmode: "overlay", height: 120 + 22 * clients.size, xaxis: { type: "date" }, yaxis: { type: "category", categoryorder: "category descending" } })];
    },
  };

  // What stands in a figure's table: the heads of its columns, and rows, the newest first.
  const told = {
    losses(items) {
      const of = [...grouped(items, (each) => `${each.round} ${each.task}`).values()];
      const rows = of.map((some) => [some[0].round, some[0].task, ...["engaged", "personal"].map((model) => shown(means(some, model).y[0] ?? null))]);
      return [["Round", "Task", "Engaged", "Personal"], rows.reverse()];
    },

    replacements(items) {
      const rows = items.map((each) => [
        each.round, each.client, each.task, decided(each), shown(each.engaged_loss), shown(each.margin), shown(each.personal_loss),
      ]);
      return [["Round", "Client", "Task", "Decision", "Engaged loss", "Margin", "Personal loss"], rows.reverse()];
    },

    traffic(phases) {
      const rows = trained(phases).map((each) => [each.round, each.bytes_down, each.bytes_up, each.bytes_full_exchange]);
      return [["Round", "Bytes down", "Bytes up", "Bytes of full state dicts"], rows.reverse()];
    },

    timeline(items) {
      const rows = items.map((each) => [
        each.round, each.client, each.attempt, new Date(each.claimed_at).toLocaleString(), (lasted(each) / 1000).toFixed(1), each.end ?? "working",
      ]);
      return [["Round", "Client", "Attempt", "Claimed", "Seconds", "End"], rows.reverse()];
    },
  };

  return { draw, told, newest };
})();
