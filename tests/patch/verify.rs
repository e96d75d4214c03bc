//! `hotwatch verify` of a process that was patched: it answers as a fresh one does, but for what it keeps in memory.

use super::{get, is_possible, patchable, project};

#[test]
fn a_patched_process_answers_as_a_fresh_one() {
    if !is_possible() {
        return;
    }
    let project = project("");
    let mut up = patchable(&project);
    let pid = up.pid("shop");
    project.edit("shop/main.go", "hello %s %s", "hi %s %s");
    up.until_event("patched", "shop");
    project.edit("shop/main.go", "n*rate + limit", "n*rate + limit + 1");
    up.until("the second patch", |seen| seen["event"] == "patched" && seen["generation"] == 2);
    project.write("smoke.http", "GET /hello\n###\nGET /numbers\n###\nGET /greet\n###\nGET /kinds\n");
    let output = project.run(&["verify", "shop", "--requests", "smoke.http"]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains(&format!("4 of 4 requests are answered the same by PID {pid}")), "{text}");

    // How often it was asked is in memory.
    project.write("smoke.http", "GET /hello\n###\nGET /count\n");
    let output = project.run(&["verify", "shop", "--requests", "smoke.http"]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text.starts_with("same    GET /hello\ndiffers GET /count\n"), "{text}");
    assert!(text.contains(&format!("  -{pid} ")) && text.contains("1 of 2 requests"), "{text}");
    // Nothing has become of it.
    assert_eq!(get(project.port("shop"), "/hello"), "hi xxx shop");
    assert_eq!(up.pid("shop"), pid);
    up.stop();
}
