"""What a page hides is no text; what a click shows is."""

import pytest

from tests.unit_tests.ingest.readers.html.helpers import read_page


@pytest.mark.parametrize(
    "hidden",
    [
        "<p style='display:none'>{}</p>",
        "<p style='DISPLAY : NONE !important'>{}</p>",
        "<span style='visibility: hidden'>{}</span>",
        "<div hidden><p>{}</p></div>",
        "<p hidden=''>{}</p>",
        "<p aria-hidden=true>{}</p>",
        "<style>.x {{ display: none }}</style><p class='a x'>{}</p>",
        "<style>#x, .y {{ color: red; visibility: hidden; }}</style><p id=x>{}</p>",
        "<style>div.box p {{display:none}}</style><div class=box><div><p>{}</p></div></div>",
        "<style>@media screen {{ .x {{display:none}} }}</style><p class=x>{}</p>",
        "<style>/* a {{ */ p[data-old] {{display:none}}</style><p data-old>{}</p>",
        "<style>.x{{display:none}} p{{display:block}}</style><p class=x>{}</p>",
        "<style>.tab{{display:none}} .tab.on{{display:block}}</style><p class=tab>{}</p>",
        "<p style='opacity:0'>{}</p>",
        "<p style='font-size:0'>{}</p>",
        "<div style='position:absolute; left:-9999px'>{}</div>",
        "<div style='height:0;overflow:hidden'>{}</div>",
        "<p style='text-indent:-9999px'>{}</p>",
        "<dialog>{}</dialog>",
        "<template><p>{}</p></template>",
        "<noscript>{}</noscript>",
        "<script>var a = '{}'</script>",
        "<svg><title>{}</title></svg>",
        "<iframe src=x>{}</iframe>",
        "<select><option>{}</option></select>",
        "<datalist><option>{}</datalist>",
        "<textarea>{}</textarea>",
        "<input type=hidden value='{}'><input placeholder='{}'>",
        "<button>{}</button>",
        "<!-- {} -->",
        "<del>{}</del><s>{}</s><strike>{}</strike>",
        "<span style='text-decoration: line-through'>{}</span>",
        "<style>.old{{text-decoration:line-through}}</style><span class=old>{}</span>",
        "<img src='data:image/png;base64,aGlkZGVu{}'>",
        "<img src=x.png alt='{}.png'>",
    ],
)
def test_hidden_text_is_left_out(hidden):
    page = f"<p>A bicycle costs 6 EUR.</p>{hidden.format(*['HIDDEN4EUR'] * 3)}<p>End</p>"
    assert read_page(page) == "A bicycle costs 6 EUR.\n\nEnd"


def test_text_behind_a_hidden_element_stays():
    assert read_page("<p>before<b hidden>x</b> after<i hidden>y</i></p>") == "before after"


@pytest.mark.parametrize(
    "shown",
    [
        "<details><summary>Combien ?</summary>{}</details>",
        "<details open>{}</details>",
        "<dialog open>{}</dialog>",
        "<p hidden=until-found>{}</p>",
        "<button aria-expanded=false aria-controls=p1>Open</button><div id=p1 hidden>{}</div>",
        "<div role=tab aria-controls=p1>Tab</div><div id=p1 role=tabpanel style='display:none'>{}</div>",
        "<style>@media print {{ p {{display:none}} }}</style><p>{}</p>",
        "<style>@media (max-width: 600px) {{ p {{display:none}} }}</style><p>{}</p>",
        "<style>p:hover {{display:none}} p::before {{display:none}}</style><p>{}</p>",
        "<style>.tab{{display:none}} .tab.on{{display:block}}</style><p class='tab on'>{}</p>",
        "<style>.x{{display:none}}</style><p class=x style='display:block'>{}</p>",
        "<style>.no-js .x{{display:none}}</style><div class=no-js><p class=x>{}</p></div>",
        "<style>body{{visibility:hidden}}</style><p>{}</p>",
        "<style>a{{b</style><p>{}</p>",
        "<p style='opacity:0; transform: translateY(10px)'>{}</p>",
        "<h3><button>{}</button></h3>",
        "<ins>{}</ins>",
        "<form><label>{}</label></form>",
        "<img src='data:image/png;base64,xxxx' alt='{}'>",
    ],
)
def test_text_that_a_reader_can_see_or_open_stays(shown):
    assert "Le vélo coûte 6 €" in read_page(shown.format("Le vélo coûte 6 €"))
