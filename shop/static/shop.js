"use strict";
// Everything can be read and reached without this script; it reports events, wipes pictures and opens sheets in place.

const told = document.getElementById("told");
function tell(words) {
  told.textContent = words;
  told.classList.add("on");
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => told.classList.remove("on"), 2500);
}

const waiting = [];
function report(event) {
  waiting.push(event);
  clearTimeout(report.timer);
  report.timer = setTimeout(send, 300);
}
function send() {
  if (!waiting.length) return Promise.resolve();
  const events = waiting.splice(0, 100);
  const options = { method: "POST", keepalive: true, headers: { "content-type": "application/json" }, body: JSON.stringify({ events }) };
  return fetch("/v1/events", options).then((answer) => {
    // What was not stored is sent again; its event_id keeps it from counting twice.
    if (answer.status === 503) waiting.push(...events);
    return answer.ok;
  }).catch(() => { waiting.push(...events); });
}
addEventListener("pagehide", send);
setInterval(send, 5000);

function eventOf(kind, place, page, user) {
  const event = { event: kind, user_id: user, item_id: place.dataset.item, presentation: place.dataset.look };
  if (page) {
    event.page_id = page;
    event.event_id = `${page}-${kind}-${place.dataset.position || place.dataset.item}`.slice(0, 256);
  }
  if (place.dataset.position) event.position = Number(place.dataset.position);
  if (place.dataset.propensity) event.propensity = Number(place.dataset.propensity);
  return event;
}

const grid = document.querySelector(".grid");
if (grid) {
  const { user, page } = grid.dataset;
  if (user) {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        seen.unobserve(entry.target);
        report(eventOf("impression", entry.target, page, user));
      }
    }, { threshold: 0.5 });
    grid.querySelectorAll(".card").forEach((card) => seen.observe(card));
  }

  grid.addEventListener("input", (change) => {
    if (change.target.matches(".wipe")) change.target.closest(".card").style.setProperty("--cut", `${change.target.value}%`);
  });

  grid.addEventListener("click", (press) => {
    const link = press.target.closest("a");
    if (!link) return;
    const card = link.closest(".card");
    const sheet = link.matches(".why, .alike");
    if (user && !sheet) {
      report(eventOf("click", card, page, user));
      send();
    }
    if (sheet && !press.ctrlKey && !press.metaKey && !press.shiftKey) {
      press.preventDefault();
      openSheet(link);
    }
  });
}

const dialog = document.getElementById("sheet");
async function openSheet(link) {
  const url = new URL(link.href);
  url.searchParams.set("part", link.matches(".why") ? "why" : "similar");
  url.hash = "";
  const answer = await fetch(url).catch(() => null);
  if (!answer || !answer.ok) {
    location.assign(link.href);
    return;
  }
  // The fragment is the service's own page, escaped there; it is parsed without running anything.
  const made = new DOMParser().parseFromString(await answer.text(), "text/html");
  const body = dialog.querySelector(".sheet-body");
  body.replaceChildren(...made.body.childNodes);
  dialog.showModal();
}
if (dialog) {
  dialog.addEventListener("click", (press) => { if (press.target === dialog) dialog.close(); });
}

const product = document.querySelector(".product");
if (product && product.dataset.user) {
  const buy = product.querySelector(".buy");
  buy.hidden = false;
  buy.addEventListener("click", (press) => {
    const kind = press.target.dataset.event;
    if (!kind) return;
    report(eventOf(kind, product, product.dataset.page, product.dataset.user));
    send().then((stored) => tell(stored ? { cart: "In your bag", purchase: "Bought – thank you" }[kind] : "Not stored yet; trying again"));
  });
}

const live = document.querySelector("[data-live]");
if (live) {
  setInterval(async () => {
    if (document.hidden || live.contains(document.activeElement)) return;
    const answer = await fetch(live.dataset.live).catch(() => null);
    if (!answer || !answer.ok) return;
    const open = [...live.querySelectorAll("details")].map((one) => one.open);
    const made = new DOMParser().parseFromString(await answer.text(), "text/html");
    live.replaceChildren(...made.body.childNodes);
    live.querySelectorAll("details").forEach((one, i) => { one.open = open[i] || false; });
  }, 2000);
}
