// An input with a list of completions, after the combobox pattern of the ARIA practices.

let count = 0;

/**
 * Makes an input complete words.
 * @param {HTMLInputElement} input
 * @param {(text: string) => number[]} complete rows for what was typed
 * @param {string[]} words
 * @param {(row: number) => void} choose
 * @param {(text: string) => void} unknown called when a word that is not in the list was entered
 */
export function combobox(input, complete, words, choose, unknown) {
  const list = document.createElement("ul");
  list.id = `completions-${count++}`;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Words");
  list.hidden = true;
  input.after(list);
  for (const [name, value] of Object.entries({
    role: "combobox", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    "aria-expanded": "false", "aria-controls": list.id, "aria-autocomplete": "list",
  })) input.setAttribute(name, value);
  let rows = [];
  let active = -1;

  function show(newRows) {
    rows = newRows;
    active = -1;
    list.replaceChildren(...rows.map((row, i) => {
      const item = document.createElement("li");
      item.id = `${list.id}-${i}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      item.textContent = words[row];
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); accept(row); });
      return item;
    }));
    list.hidden = rows.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
    input.removeAttribute("aria-activedescendant");
  }

  function activate(index) {
    list.children[active]?.setAttribute("aria-selected", "false");
    active = (index + rows.length) % rows.length;
    list.children[active].setAttribute("aria-selected", "true");
    list.children[active].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", list.children[active].id);
  }

  function accept(row) {
    input.value = words[row];
    show([]);
    choose(row);
  }

  function enter() {
    const text = input.value.trim();
    const exact = rows.find((row) => words[row] === text);
    const first = rows.find((row) => words[row].toLowerCase() === text.toLowerCase());
    if (active >= 0) accept(rows[active]);
    else if (exact !== undefined) accept(exact);
    else if (first !== undefined) accept(first);
    else if (text) { show([]); unknown(text); }
  }

  input.addEventListener("input", () => show(complete(input.value)));
  input.addEventListener("focus", () => input.select());
  input.addEventListener("blur", () => show([]));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") enter();
    else if (event.key === "Escape") show([]);
    else if (event.key === "ArrowDown" && rows.length) activate(active + 1);
    else if (event.key === "ArrowUp" && rows.length) activate(active < 0 ? -1 : active - 1);
    else return;
    event.preventDefault();
  });
}
