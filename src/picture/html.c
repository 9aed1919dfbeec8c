/* The picture as one file for a browser: details of a layer under the mouse or the focus, verdicts
 * that can be dimmed, light and dark. Nothing is fetched. */
#include "picture/svg.h"
#include "picture/text.h"

static const char page_style[] =
    "body{margin:0;background:#fff;color:#15181d;font:14px/1.45 sans-serif}\n"
    "#bar{position:sticky;top:0;z-index:1;display:flex;flex-wrap:wrap;gap:4px 18px;padding:8px "
    "16px;background:#eef0f4;border-bottom:1px solid #d5d9e0}\n"
    "#bar label{white-space:nowrap}\n"
    "#picture{overflow-x:auto}\n"
    "#picture svg{display:block}\n"
    "#details{position:fixed;right:16px;bottom:16px;max-width:26em;max-height:70vh;overflow:auto;"
    "padding:10px 14px;background:#fff;border:1px solid #7a828e;border-radius:8px;"
    "box-shadow:0 4px 18px #0004;overflow-wrap:anywhere}\n"
    "#details h2{margin:0 0 6px;font-size:15px}\n"
    "#details dl{display:grid;grid-template-columns:auto 1fr;gap:2px 12px;margin:0}\n"
    "#details dt{color:#4a515c}#details dd{margin:0}\n"
    ".l{cursor:pointer;outline:none}\n"
    ".l:hover .b,.l:focus .b,.l.pinned .b{stroke-width:3}\n";

static const char dark_style[] =
    "body,#details{background:#15171b;color:#eceff4}\n"
    "#bar{background:#1d2026;border-color:#363b45}#details dt{color:#b3bac6}\n";

static const char script[] =
    "(function () {\n"
    "  'use strict';\n"
    "  var picture = document.getElementById('picture');\n"
    "  var details = document.getElementById('details');\n"
    "  var pinned = null;\n"
    "  function add(parent, tag, text) {\n"
    "    var e = document.createElement(tag);\n"
    "    e.textContent = text;\n"
    "    parent.appendChild(e);\n"
    "    return e;\n"
    "  }\n"
    "  function show(layer) {\n"
    "    var lines = layer.querySelector('desc').textContent.split('\\n');\n"
    "    details.textContent = '';\n"
    "    add(details, 'h2', lines[0]);\n"
    "    var list = add(details, 'dl', '');\n"
    "    lines.slice(1).forEach(function (line) {\n"
    "      var at = line.indexOf(': ');\n"
    "      add(list, 'dt', line.slice(0, at));\n"
    "      add(list, 'dd', line.slice(at + 2));\n"
    "    });\n"
    "    details.hidden = false;\n"
    "  }\n"
    "  function leave() {\n"
    "    if (pinned) show(pinned); else details.hidden = true;\n"
    "  }\n"
    "  function pin(layer) {\n"
    "    if (pinned) pinned.classList.remove('pinned');\n"
    "    pinned = layer === pinned ? null : layer;\n"
    "    if (pinned) pinned.classList.add('pinned');\n"
    "    leave();\n"
    "  }\n"
    "  picture.querySelectorAll('.l').forEach(function (layer) {\n"
    "    layer.setAttribute('aria-label', layer.querySelector('desc').textContent);\n"
    "    layer.addEventListener('mouseenter', function () { show(layer); });\n"
    "    layer.addEventListener('focus', function () { show(layer); });\n"
    "    layer.addEventListener('mouseleave', leave);\n"
    "    layer.addEventListener('blur', leave);\n"
    "    layer.addEventListener('click', function () { pin(layer); });\n"
    "    layer.addEventListener('keydown', function (e) {\n"
    "      if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); pin(layer); }\n"
    "      if (e.key === 'Escape' && pinned) pin(pinned);\n"
    "    });\n"
    "  });\n"
    "  document.querySelectorAll('#bar input').forEach(function (box) {\n"
    "    function apply() { picture.classList.toggle('hide-' + box.value, !box.checked); }\n"
    "    box.addEventListener('change', apply);\n"
    "    apply();\n"
    "  });\n"
    "}());\n";

static char class_letter(const VerdictLook *look)
{
    return look->letter == '-' ? 'N' : look->letter;
}

/* A box for each verdict, in the order of the legend. */
static void filters(Buf *out)
{
    buf_add(out, "<div id=\"bar\" role=\"group\" aria-label=\"verdicts shown\">\n");
    for (int i = 1; i <= VERDICT_GLOBAL + 1; i++) {
        const VerdictLook *look = &verdict_look[i % (VERDICT_GLOBAL + 1)];
        buf_printf(out, "<label><input type=\"checkbox\" value=\"%c\" checked> ",
                   class_letter(look));
        if (look->letter != '-')
            buf_printf(out, "<b>%c</b> ", look->letter);
        buf_printf(out, "%s</label>\n", look->name);
    }
    buf_add(out, "</div>\n");
}

static void styles(Buf *out)
{
    buf_add(out, "<style>\n");
    buf_add(out, page_style);
    draw_style(out, false);
    for (int i = 0; i <= VERDICT_GLOBAL; i++) {
        char c = class_letter(&verdict_look[i]);
        buf_printf(out, ".hide-%c .l.v%c,.hide-%c .d.v%c{opacity:.12}\n", c, c, c, c);
    }
    buf_add(out, "@media (prefers-color-scheme:dark){\n");
    buf_add(out, dark_style);
    draw_style(out, true);
    buf_add(out, "}\n@media print{#bar,#details{display:none}}\n</style>\n");
}

void picture_html(const PictureNet *nets, int count, const PictureOptions *o, Buf *out)
{
    Pen p = {.a = nets[0].elab->arena, .out = out, .interactive = true};
    buf_add(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                 "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width\">\n"
                 "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    for (int i = 0; i < count; i++) {
        buf_add(out, i > 0 ? " and " : "");
        text_xml(out, nets[i].elab->graph.name);
    }
    buf_add(out, "</title>\n");
    styles(out);
    buf_add(out, "</head>\n<body>\n");
    filters(out);
    buf_add(out, "<div id=\"picture\">\n");
    draw_page(&p, nets, count, o);
    buf_add(out, "</div>\n<div id=\"details\" aria-live=\"polite\" hidden></div>\n<script>\n");
    buf_add(out, script);
    buf_add(out, "</script>\n</body>\n</html>\n");
}
