// Wide tables scroll sideways; the keyboard reaches them.
document$.subscribe(() => {
  for (const region of document.querySelectorAll(".md-typeset__scrollwrap")) region.tabIndex = 0;
});
