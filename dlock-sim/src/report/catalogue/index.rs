use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Played, section, violated};
use crate::checker::Property;
use crate::report::sheet::{STYLE, marked};
use crate::report::{PICTURE_STYLE, Panel};
use crate::scenario::{self, Section, Shown};
use crate::words::capital;

/// The page over all: one row for each scenario and store.
pub fn index(all: &[Played]) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "How locks fail – dlock" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) (PreEscaped(PICTURE_STYLE)) }
            }
            body.index {
                header {
                    h1 { "How distributed locks fail" }
                    p.title {
                        "Each row is a schedule that was really played: the code of dlock, and of naive locks, on simulated "
                        "servers, networks and clocks. Each name opens a picture of it."
                    }
                    p {
                        "A lock is held under a " b { "lease" } ", which ends by itself after its TTL (time to live) unless it is renewed, and "
                        "comes with a " b { "token" } ", a number that is higher for each holder. The storage can remember the newest token that it has "
                        "seen, and refuse older ones: that is a " b { "fence" } "."
                    }
                }
                main {
                    table #catalogue {
                        thead { tr {
                            th scope="col" { "Scenario" } th scope="col" { "Store" }
                            th scope="col" { "Without the defence" } th scope="col" { "With it" }
                        } }
                        @for kind in [Section::Caveat, Section::Bug, Section::Witness] {
                            tbody {
                                tr.section { th colspan="4" scope="colgroup" { (section(kind)) } }
                                @for played in all.iter().filter(|played| played.scenario.section == kind) { (row(played)) }
                            }
                        }
                        tbody {
                            tr.section { th colspan="4" scope="colgroup" { "To come, with Redlock" } }
                            @for (name, what) in scenario::PENDING {
                                tr data-pending=(name) { th scope="row" { (name) } td { "redlock" } td colspan="2" { (capital(what)) "." } }
                            }
                        }
                    }
                    h2 { "What is checked" }
                    ul #properties {
                        @for property in Property::ALL { li { b { (property) } " " (property.title()) ". Broken: " (property.harm()) "." } }
                    }
                }
            }
        }
    };
    markup.into_string() + "\n"
}

fn row(played: &Played) -> Markup {
    let (with, without): (Vec<&Shown>, Vec<&Shown>) =
        played.takes.iter().partition(|shown| shown.way.is_fenced());
    html! {
        tr data-scenario=(played.scenario.name) data-store=(played.store) {
            th scope="row" {
                a href=(played.file()) { (played.scenario.name) }
                span.what { (marked(&capital(played.scenario.title))) "." }
            }
            td { (played.store) }
            td { @for shown in without { (cell(shown)) } }
            td { @for shown in with { (cell(shown)) } }
        }
    }
}

fn cell(shown: &Shown) -> Markup {
    let broken = violated(shown);
    let panel = Panel::of_take(shown);
    html! {
        p.cell {
            @for property in broken {
                span.violation.declared[panel.declared] title=(property.title()) { (property) } " "
            }
            (marked(&panel.verdict))
        }
    }
}
