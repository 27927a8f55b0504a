/* page_script.c: the script of a page: a fixed core and one part for each thing that can be done. No text of a page is in it, so
 * each set of parts has one hash. Texts reach the document as textContent only. */
#include "page_html.h"

/* clang-format off */
static const char script_core[] =
    "'use strict';\n"
    "(() => {\n"
    "const part = (id) => document.getElementById(id);\n"
    "const all = (what, within) => [...(within || document).querySelectorAll(what)];\n"
    "const deeds = {}; // data-do of a button -> what pressing it does\n"
    "const placeOf = (near) => (near.form || near.closest('form, .actions')).querySelector('.done'); // of a button or form\n"
    "const say = (words, near) => { placeOf(near).textContent = words; };\n"
    "const words = (button) => (button.dataset.words ||= button.textContent.trim());\n"
    "const box = (button) => button.closest('.col, form, main, header, footer') || document.body;\n"
    "const unpack = (holder) => { // what nobody drew waits in a template until it is asked for\n"
    "  const waiting = holder.querySelector('template');\n"
    "  if (waiting) waiting.replaceWith(waiting.content);\n"
    "};\n"
    "const alike = (from, to) => from[0] === from[0].toUpperCase() ? to[0].toUpperCase() + to.slice(1) : to;\n"
    "deeds.say = (button) => say('“' + words(button) + '” was pressed.', button);\n";

static const char script_reveal[] =
    "deeds.reveal = (button) => {\n"
    "  const hidden = part(button.getAttribute('aria-controls'));\n"
    "  const open = hidden.hidden;\n"
    "  unpack(hidden);\n"
    "  hidden.hidden = !open;\n"
    "  button.setAttribute('aria-expanded', String(open));\n"
    "  const turned = { show: 'hide', more: 'less', reveal: 'hide' };\n"
    "  button.textContent = !open ? words(button)\n"
    "    : words(button).replace(/\\b(show|more|reveal)\\b/i, (word) => alike(word, turned[word.toLowerCase()]));\n"
    "};\n";

static const char script_form[] =
    "const wrong = (field) => { // what is wrong with a value, in words; '' when nothing is\n"
    "  const value = field.validity;\n"
    "  const name = field.labels.length ? field.labels[0].textContent.replace(/[\\s*:]+$/, '') : 'this field';\n"
    "  if (value.valueMissing) return field.type === 'checkbox' ? 'Please tick this box.' : 'Please fill in: ' + name + '.';\n"
    "  const same = field.dataset.same && part(field.dataset.same);\n"
    "  if (same && same.type === field.type && same.value !== field.value) return 'This is not the same as above.';\n"
    "  if (value.valid) return '';\n"
    "  if (field.type === 'email') return 'Please write an address like ann@example.org.';\n"
    "  if (field.type === 'tel') return 'Please write a number like 030 123456.';\n"
    "  return field.validationMessage || 'This does not fit.';\n"
    "};\n"
    "const check = (field) => {\n"
    "  const message = wrong(field), place = part(field.id + '-error');\n"
    "  if (place) place.textContent = message;\n"
    "  if (message) field.setAttribute('aria-invalid', 'true'); else field.removeAttribute('aria-invalid');\n"
    "  return !message;\n"
    "};\n"
    "const fieldsOf = (form) => [...form.elements].filter((field) => field.id && field.willValidate && field.type !== 'submit' && field.type !== 'button');\n"
    "const then = {}; // data-then of a form -> what is done with it\n"
    "then.thank = (form) => {\n"
    "  const name = form.querySelector('[autocomplete=name], [autocomplete=given-name], [autocomplete=username]');\n"
    "  const thanks = 'Thank you' + (name && name.value ? ', ' + name.value : '') + '! Everything is filled in. Nothing was sent: this page works on its own.';\n"
    "  const dialog = form.closest('dialog');\n"
    "  if (dialog) dialog.close();\n"
    "  say(thanks, dialog ? document.querySelector('[data-for=' + dialog.id + ']') : form);\n"
    "};\n"
    "document.addEventListener('submit', (event) => {\n"
    "  event.preventDefault();\n"
    "  const form = event.target, bad = fieldsOf(form).filter((field) => !check(field)), done = placeOf(form);\n"
    "  if (done) done.textContent = '';\n"
    "  if (bad.length) bad[0].focus(); else (then[form.dataset.then] || then.thank)(form);\n"
    "});\n"
    "document.addEventListener('input', (event) => {\n"
    "  if (event.target.getAttribute('aria-invalid')) check(event.target);\n"
    "});\n";

static const char script_ask[] =
    "deeds.ask = (button) => {\n"
    "  const dialog = part(button.dataset.for);\n"
    "  unpack(dialog);\n"
    "  dialog.showModal();\n"
    "};\n"
    "deeds.close = (button) => button.closest('dialog').close();\n";

static const char script_search[] =
    "const filter = (form) => {\n"
    "  const wanted = form.querySelector('input').value.trim().toLowerCase();\n"
    "  let found = 0;\n"
    "  const parts = all('main :is(.col, p:not([class]), li, figure, tr:has(td))')\n"
    "    .filter((text) => !text.closest('form, [hidden]') && !text.parentElement.closest('.col'));\n"
    "  for (const text of parts) { // a column stays or goes as a whole\n"
    "    const captions = all('figure', text).concat(text).map((figure) => figure.dataset.caption || '');\n"
    "    const held = (text.textContent + ' ' + captions.join(' ')).toLowerCase().includes(wanted);\n"
    "    text.toggleAttribute('data-unmatched', !held);\n"
    "    found += held;\n"
    "  }\n"
    "  say(wanted ? found + ' found' : '', form);\n"
    "};\n"
    "then.search = filter;\n"
    "document.addEventListener('input', (event) => {\n"
    "  const form = event.target.closest('form[data-then=search]');\n"
    "  if (form) filter(form);\n"
    "});\n";

static const char script_checklist[] =
    "let ticks = 0;\n"
    "const tickable = (item) => { // a line of a list gets a box\n"
    "  const tick = document.createElement('input'), label = document.createElement('label');\n"
    "  tick.type = 'checkbox';\n"
    "  tick.id = label.htmlFor = 'tick-' + ++ticks;\n"
    "  label.append(...item.childNodes);\n"
    "  item.append(tick, label);\n"
    "};\n"
    "all('ul.checklist li').forEach(tickable);\n";

static const char script_add[] =
    "then.add = (form) => {\n"
    "  const field = form.querySelector('input:not([type=checkbox]):not([type=radio]), textarea');\n"
    "  let list = all('.checklist, main ul', document).find((list) => !list.closest('nav'));\n"
    "  if (!list) {\n"
    "    list = document.createElement('ul');\n"
    "    list.className = 'checklist';\n"
    "    form.after(list);\n"
    "  }\n"
    "  const item = document.createElement(list.tagName === 'UL' ? 'li' : 'p');\n"
    "  item.textContent = field.value;\n"
    "  if (list.tagName !== 'UL') item.className = 'choice';\n"
    "  if (list.classList.contains('checklist')) tickable(item);\n"
    "  list.append(item);\n"
    "  say('Added: ' + field.value, form);\n"
    "  field.value = '';\n"
    "  field.focus();\n"
    "};\n";

static const char script_remove[] =
    "deeds.remove = (button) => {\n"
    "  const ticked = all('li, .choice').filter((item) => item.querySelector(':checked'));\n"
    "  ticked.forEach((item) => item.remove());\n"
    "  say(ticked.length ? 'Removed: ' + ticked.length : 'Tick first what is to be removed.', button);\n"
    "};\n";

static const char script_reset[] =
    "deeds.reset = (button) => {\n"
    "  const form = button.form;\n"
    "  if (!form) { location.reload(); return; }\n"
    "  form.reset();\n"
    "  all('.error, .done', form).forEach((place) => { place.textContent = ''; });\n"
    "  all('[aria-invalid]', form).forEach((field) => field.removeAttribute('aria-invalid'));\n"
    "};\n";

static const char script_print[] =
    "deeds.print = () => window.print();\n";

static const char script_top[] =
    "deeds.top = () => window.scrollTo({ top: 0 });\n";

static const char script_jump[] =
    "deeds.jump = (button) => {\n"
    "  const to = part(button.dataset.for) || document.body;\n"
    "  to.scrollIntoView();\n"
    "  to.focus({ preventScroll: true });\n"
    "};\n";

static const char script_turn[] =
    "const turn = (step, button) => {\n"
    "  const heads = all('h1, h2').filter((head) => head.offsetParent);\n"
    "  const now = heads.filter((head) => head.getBoundingClientRect().top < 40).length - 1;\n"
    "  const to = heads[Math.max(0, Math.min(heads.length - 1, now + step))];\n"
    "  if (to) to.scrollIntoView();\n"
    "  say(to ? to.textContent : 'There is nothing more.', button);\n"
    "};\n"
    "deeds.next = (button) => turn(1, button);\n"
    "deeds.back = (button) => turn(-1, button);\n";

static const char script_upload[] =
    "const picker = document.createElement('input'); // the file stays on this computer: it is shown, not sent\n"
    "picker.type = 'file';\n"
    "picker.hidden = true;\n"
    "picker.id = 'picker';\n"
    "picker.setAttribute('aria-label', 'File');\n"
    "document.body.append(picker);\n"
    "deeds.upload = (button) => {\n"
    "  picker.asked = button;\n"
    "  picker.click();\n"
    "};\n"
    "picker.addEventListener('change', () => {\n"
    "  const file = picker.files[0];\n"
    "  if (!file) return;\n"
    "  say('Chosen: ' + file.name, picker.asked);\n"
    "  if (!file.type.startsWith('image/')) return;\n"
    "  let frame = all('figure').find((figure) => !figure.dataset.filled);\n"
    "  if (!frame) {\n"
    "    const last = all('figure').pop();\n"
    "    frame = document.createElement('figure');\n"
    "    frame.append(document.createElement('img'));\n"
    "    frame.dataset.caption = file.name;\n"
    "    if (last) last.after(frame); else document.querySelector('main').append(frame);\n"
    "  }\n"
    "  frame.dataset.filled = 'yes';\n"
    "  const image = frame.querySelector('img');\n"
    "  image.src = URL.createObjectURL(file);\n"
    "  image.alt ||= file.name;\n"
    "});\n";

static const char script_cart[] =
    "let inCart = 0;\n"
    "deeds.cart = (button) => {\n"
    "  const paying = /check ?out|view|show|^cart$|^basket$/i.test(words(button));\n"
    "  const near = box(button).matches('.col') && box(button).querySelector('h2, figure');\n"
    "  const what = near ? near.dataset.caption || near.textContent : '';\n"
    "  if (!paying) inCart += 1;\n"
    "  say('In your cart: ' + inCart + (paying ? '. This page takes no money.' : what ? ' (' + what + ' was added)' : ''), button);\n"
    "};\n";

static const char script_count[] =
    "deeds.count = (button) => { // the number drawn beside the button, or one of its own\n"
    "  const down = /^\\s*-|minus|down/i.test(words(button)), once = /like|love|follow/i.test(words(button));\n"
    "  const on = once && button.getAttribute('aria-pressed') !== 'true';\n"
    "  if (once) button.setAttribute('aria-pressed', String(on));\n"
    "  const step = down || (once && !on) ? -1 : 1;\n"
    "  const places = all('p:not([class]), h2, li, td', box(button)).filter((place) => /^\\D{0,24}\\d+\\D{0,24}$/.test(place.textContent));\n"
    "  const near = places.filter((place) => place.compareDocumentPosition(button) & Node.DOCUMENT_POSITION_FOLLOWING).pop() || places[0];\n"
    "  if (near) {\n"
    "    near.textContent = near.textContent.replace(/-?\\d+/, (number) => String(Number(number) + step));\n"
    "    say(near.textContent, button);\n"
    "    return;\n"
    "  }\n"
    "  const number = Number(button.dataset.number || 0) + step;\n"
    "  button.dataset.number = String(number);\n"
    "  button.textContent = words(button) + (number ? ' (' + number + ')' : '');\n"
    "};\n";

static const char script_play[] =
    "deeds.play = (button) => {\n"
    "  const turned = { play: 'pause', start: 'stop', watch: 'pause', listen: 'pause', record: 'stop', resume: 'pause', pause: 'play', stop: 'start' };\n"
    "  const stops = /^(stop|pause)$/i.test(words(button));\n"
    "  const playing = all('[data-do=play][data-on]').find((other) => other !== button);\n"
    "  if (stops && playing) { deeds.play(playing); return; }\n"
    "  const on = !button.dataset.on;\n"
    "  if (on && !stops) button.dataset.on = 'yes'; else delete button.dataset.on;\n"
    "  button.textContent = !on || stops ? words(button) : words(button).replace(/\\w+/, (word) => alike(word, turned[word.toLowerCase()] || word));\n"
    "  say(words(button) + (on && !stops ? ': on' : ': off'), button);\n"
    "};\n";

static const char script_dice[] =
    "deeds.dice = (button) => {\n"
    "  const jokes = all('[data-do=reveal]');\n"
    "  if (/joke|surprise/i.test(words(button)) && jokes.length) {\n"
    "    const joke = jokes[Math.floor(Math.random() * jokes.length)];\n"
    "    joke.scrollIntoView({ block: 'center' });\n"
    "    joke.focus({ preventScroll: true });\n"
    "    return;\n"
    "  }\n"
    "  say(words(button) + ': ' + (1 + Math.floor(Math.random() * 6)), button);\n"
    "};\n";

static const char script_page[] =
    "const show = (hash) => { // a part that is not drawn, when a link leads there\n"
    "  const to = hash.startsWith('#page-') && part(hash.slice(1));\n"
    "  if (!to) return;\n"
    "  unpack(to);\n"
    "  to.hidden = false;\n"
    "  to.scrollIntoView();\n"
    "  to.focus({ preventScroll: true });\n"
    "};\n"
    "window.addEventListener('hashchange', () => show(location.hash));\n"
    "document.addEventListener('click', (event) => {\n"
    "  const link = event.target.closest('a');\n"
    "  if (link) show(link.hash);\n"
    "});\n"
    "show(location.hash);\n";

static const char script_last[] =
    "document.addEventListener('click', (event) => {\n"
    "  const button = event.target.closest('[data-do]');\n"
    "  if (button && deeds[button.dataset.do]) deeds[button.dataset.do](button);\n"
    "});\n"
    "})();\n";

#define BIT(b) (1u << BEHAVIOUR_##b)

/* In this order: a part may use what stands before it. */
static const struct {
    uint32_t needed_by;
    const char *text;
} parts[] = {
    {~0u, script_core},
    {BIT(REVEAL) | BIT(MORE), script_reveal},
    {BIT(FORM) | BIT(ASK), script_form},
    {BIT(ASK), script_ask},
    {BIT(SEARCH), script_search},
    {BIT(CHECKLIST), script_checklist},
    {BIT(ADD), script_add},
    {BIT(REMOVE), script_remove},
    {BIT(RESET), script_reset},
    {BIT(PRINT), script_print},
    {BIT(TOP), script_top},
    {BIT(JUMP), script_jump},
    {BIT(NEXT) | BIT(BACK), script_turn},
    {BIT(UPLOAD), script_upload},
    {BIT(CART), script_cart},
    {BIT(COUNT), script_count},
    {BIT(PLAY), script_play},
    {BIT(DICE), script_dice},
    {BIT(PAGE), script_page},
    {~0u, script_last},
};
/* clang-format on */

void html_add_script(html_text *t, uint32_t used)
{
    html_add(t, "\n");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if ((parts[i].needed_by & used) != 0) html_add(t, parts[i].text);
}
