"use strict";
// Renews what moves. The server writes the page; this asks for it again when something happened,
// and puts the elements with data-live and data-part in place of those that are here. Events only
// wake it: what has moved is seen on the page itself, so that a lost one costs time and no more.
(() => {
  const body = document.body;
  const skew = body.dataset.now ? Date.parse(body.dataset.now) - Date.now() : 0; // clocks differ
  const ASK_SOON_MS = 50, ASK_AFTER_MS = 300; // of the first event; between requests, as events go on
  const ASK_ANYWAY_MS = 15000; // a proxy may hold the stream back
  const FIRST_PAUSE_MS = 1000, LONGEST_PAUSE_MS = 30000;
  const ALIVE_S = 60;
  const MOST_EVENTS = 200;
  const MARKS = ["version", "state", "round"]; // of the job, on the body: parts and figures hang on one

  function localise(root) {
    for (const each of root.querySelectorAll("time[datetime]")) {
      const at = new Date(each.dateTime);
      each.title = each.dateTime;
      each.textContent = at.toLocaleString();
    }
  }

  function age() {
    for (const each of document.querySelectorAll("[data-seen]")) {
      const ago = (Date.now() + skew - Date.parse(each.dataset.seen)) / 1000;
      each.textContent = ago < ALIVE_S ? "there" : "silent";
      each.classList.toggle("there", ago < ALIVE_S);
    }
  }

  // How to find an element again in a part's next writing: what it is, and which of those.
  function placed(here, each) {
    const name = ["id", "href", "value", "aria-label"].find((one) => each.hasAttribute(one));
    const which = each.localName + (name ? `[${name}="${CSS.escape(each.getAttribute(name))}"]` : "");
    const index = [...here.querySelectorAll(which)].indexOf(each);
    return () => here.querySelectorAll(which)[index];
  }

  const written = new WeakMap(); // what the server wrote for an element
  function put(here, fresh) {
    if (written.get(here) === fresh.innerHTML) return;
    const active = document.activeElement;
    const focused = here !== active && here.contains(active) && placed(here, active);
    const scrolled = () => [here, ...here.querySelectorAll(".wide, .events")];
    const places = scrolled().map((each) => [each.scrollLeft, each.scrollTop]);
    const chosen = new Set([...here.querySelectorAll("input:checked")].map((each) => each.value));
    written.set(here, fresh.innerHTML);
    here.replaceChildren(...fresh.cloneNode(true).childNodes);
    for (const each of here.querySelectorAll("input[type=checkbox]")) each.checked = chosen.has(each.value);
    localise(here);
    scrolled().forEach((each, n) => { [each.scrollLeft, each.scrollTop] = places[n] ?? [0, 0]; });
    if (focused) focused()?.focus({ preventScroll: true });
  }

  async function page(address) {
    const answer = await fetch(address, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(ASK_ANYWAY_MS) });
    if (answer.redirected && new URL(answer.url).pathname === "/signin") location.reload();
    else if (answer.ok) return new DOMParser().parseFromString(await answer.text(), "text/html");
    throw new Error(answer.status);
  }

  // A page of its own within this one, asked for again when its mark has moved or nothing came.
  async function part(here) {
    const mark = body.dataset[here.dataset.when];
    if (here.dataset.mark === mark) return;
    here.dataset.mark = mark;
    try {
      const found = (await page(here.dataset.part)).querySelector(".part");
      if (found && here.dataset.mark === mark) put(here, found);
    } catch { if (here.dataset.mark === mark) delete here.dataset.mark; }
  }

  // Asks for the parts and figures that have moved, or did not come.
  function complete() {
    document.querySelectorAll("[data-part]").forEach(part);
    document.dispatchEvent(new Event("tapestry:renewed"));
  }

  const away = document.getElementById("away");
  let asking = false;
  let again = false;
  async function renew() {
    if (asking) { again = true; return; }
    asking = true;
    try {
      const fresh = await page(location.href);
      for (const here of document.querySelectorAll("[data-live]")) {
        const found = fresh.getElementById(here.id);
        if (found) put(here, found);
      }
      for (const each of MARKS) if (each in fresh.body.dataset) body.dataset[each] = fresh.body.dataset[each];
      away.hidden = true;
      age();
      complete();
    } catch { away.hidden = false; }
    asking = false;
    if (again) { again = false; renew(); }
  }

  document.addEventListener("tapestry:renew", renew);

  function note(event) {
    const list = document.getElementById("events");
    if (!list || list.querySelector(`[data-id="${event.id}"]`)) return;
    const line = document.createElement("li"), time = document.createElement("time");
    line.dataset.id = event.id;
    time.dateTime = event.at;
    const said = Object.entries(event.data).map(([name, value]) => `${name} ${value}`).join(", ");
    line.append(time, ` ${event.kind}${said ? ": " + said : ""}`);
    list.prepend(line);
    localise(line);
    while (list.children.length > MOST_EVENTS) list.lastElementChild.remove();
  }

  let timer = 0;
  let asked = -ASK_AFTER_MS;
  function happened(event) {
    note(event);
    const wait = Math.max(ASK_SOON_MS, asked + ASK_AFTER_MS - performance.now());
    timer ||= setTimeout(() => { timer = 0; asked = performance.now(); renew(); }, wait);
  }

  // A browser comes again by itself after a break, but never after an answer that is no stream.
  let pause = FIRST_PAUSE_MS;
  function listen(address) {
    const stream = new EventSource(address);
    stream.onopen = () => {
      pause = FIRST_PAUSE_MS;
      if (!away.hidden) renew();
    };
    stream.onmessage = (message) => {
      address.searchParams.set("after", message.lastEventId);
      happened(JSON.parse(message.data));
    };
    stream.onerror = () => {
      if (stream.readyState !== EventSource.CLOSED) return;
      setTimeout(listen, pause * (0.5 + Math.random() / 2), address); // not all readers at once
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    };
  }

  function begin() {
    for (const each of document.querySelectorAll("[data-live]")) written.set(each, each.innerHTML);
    localise(document);
    age();
    document.querySelectorAll("[data-part]").forEach(part);
    setInterval(body.dataset.events ? renew : complete, ASK_ANYWAY_MS);
    if (body.dataset.events) listen(new URL(body.dataset.events, location.href));
  }

  // A link with a key behind the # signs in by itself: what stands there is sent to no server.
  const key = document.getElementById("key");
  if (key && location.hash.startsWith("#tap_")) {
    key.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname + location.search);
    document.getElementById("signin").submit();
  }
  begin();
})();
