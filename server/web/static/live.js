"use strict";
// Renews what moves. The server writes the page; this asks for it again when something happened,
// and puts the elements with data-live and data-part in place of those that are here.
(() => {
  const body = document.body;
  const skew = body.dataset.now ? Date.parse(body.dataset.now) - Date.now() : 0; // clocks differ
  const ASK_AFTER_MS = 300; // several events come together
  const ASK_ANYWAY_MS = 15000; // a proxy may hold the stream back
  const ALIVE_S = 60;

  function localise(root) {
    for (const each of root.querySelectorAll("time[datetime]")) {
      const at = new Date(each.dateTime);
      each.title = each.dateTime;
      each.textContent = at.toLocaleString();
    }
    for (const each of root.querySelectorAll("[data-seen]")) {
      const ago = (Date.now() + skew - Date.parse(each.dataset.seen)) / 1000;
      each.textContent = ago < ALIVE_S ? "there" : "silent";
      each.classList.toggle("there", ago < ALIVE_S);
    }
  }

  function put(here, fresh) {
    if (here.dataset.html === fresh.innerHTML) return;
    const focused = here.contains(document.activeElement) && document.activeElement.id;
    const chosen = new Set([...here.querySelectorAll("input:checked")].map((each) => each.value));
    here.dataset.html = fresh.innerHTML;
    here.replaceChildren(...fresh.cloneNode(true).childNodes);
    for (const each of here.querySelectorAll("input[type=checkbox]")) each.checked = chosen.has(each.value);
    localise(here);
    if (focused) document.getElementById(focused)?.focus();
  }

  async function page(address) {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    if (answer.redirected && new URL(answer.url).pathname === "/signin") location.reload();
    if (!answer.ok) throw new Error(answer.status);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
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
      away.hidden = true;
    } catch { away.hidden = false; }
    asking = false;
    if (again) { again = false; renew(); }
  }

  document.addEventListener("tapestry:renew", renew);

  async function part(here) {
    try {
      const found = (await page(here.dataset.part)).querySelector(".part");
      if (found) put(here, found);
    } catch { /* the link to it stays */ }
  }

  function note(event) {
    const list = document.getElementById("events");
    if (!list || list.querySelector(`[data-id="${event.id}"]`)) return;
    const line = document.createElement("li");
    line.dataset.id = event.id;
    const said = Object.entries(event.data).map(([name, value]) => `${name} ${value}`).join(", ");
    line.textContent = `${new Date(event.at).toLocaleTimeString()} ${event.kind}${said ? ": " + said : ""}`;
    list.prepend(line);
    while (list.children.length > 200) list.lastChild.remove();
  }

  let timer = 0;
  function happened(event) {
    note(event);
    timer ||= setTimeout(() => { timer = 0; renew(); }, ASK_AFTER_MS); // counted from the first of them
    if (event.kind === "round.published") {
      document.dispatchEvent(new Event("tapestry:published"));
      document.querySelectorAll("[data-when=published]").forEach(part);
    }
    if (event.kind.startsWith("job.")) document.querySelectorAll("[data-when=ended]").forEach(part);
  }

  async function begin() {
    localise(document);
    const list = document.getElementById("events");
    if (list) {
      const found = await fetch(list.dataset.eventsOf).then((answer) => answer.json()).catch(() => null);
      for (const event of found ? found.items : []) note(event);
    }
    document.querySelectorAll("[data-part]").forEach(part);
    if (!body.dataset.events) return;
    const stream = new EventSource(body.dataset.events);
    stream.onmessage = (message) => happened(JSON.parse(message.data));
    setInterval(renew, ASK_ANYWAY_MS);
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
