// Runs before the first paint, so that a dark page never flashes white. A classic script on
// purpose: modules are deferred. settings.js owns these values; this only reads them early.
(() => {
  try {
    const saved = JSON.parse(localStorage.getItem("errand.settings")) || {};
    if (saved.theme && saved.theme !== "system") document.documentElement.dataset.theme = saved.theme;
    if (saved.density) document.documentElement.dataset.density = saved.density;
  } catch {
    // No storage, or spoiled: the defaults stand.
  }
})();
