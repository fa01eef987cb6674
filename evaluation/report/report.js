"use strict";
// Reading needs none of this: it adds sorting to tables and enlarging to pictures.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => compare(key(a.cells[column]), key(b.cells[column])) * (down ? -1 : 1));
      table.tBodies[0].append(...rows);
    });
  });
}

function key(cell) {
  const text = cell.dataset.order ?? cell.textContent.trim();
  const number = parseFloat(text.replaceAll(",", "").replaceAll("−", "-"));
  return Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b);
  return typeof a === "number" ? 1 : -1;
}

const dialog = document.querySelector("dialog");
for (const picture of document.querySelectorAll(".frame > svg")) {
  const button = document.createElement("button");
  button.type = "button";
  button.title = "Enlarge";
  picture.replaceWith(button);
  button.append(picture);
  button.addEventListener("click", () => {
    dialog.querySelector(".stage").replaceChildren(picture.cloneNode(true));
    dialog.querySelector("p").textContent = picture.getAttribute("aria-label");
    dialog.showModal();
  });
}
dialog.addEventListener("click", (event) => {
  if (event.target === dialog || event.target.className === "close") dialog.close();
});
