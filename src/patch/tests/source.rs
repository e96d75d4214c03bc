//! The service that is patched, in its versions.

/// A version of the service: each of its packages has a number in what it answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Version {
    pub main: u32,
    pub library: u32,
}

/// The main package. From version 2 on it has another function with a variable, and a type that satisfies an
/// interface.
pub fn main(version: u32) -> String {
    let (more, extra) = if version >= 2 { (MORE, EXTRA) } else { ("", "") };
    let text = MAIN.replace("EXTRA", extra).replace("VERSION", &format!("v{version}"));
    text + more
}

/// The other package.
pub fn library(version: u32) -> String {
    LIBRARY.replace("VERSION", &format!("v{version}")).replace("OFFSET", &version.to_string())
}

const EXTRA: &str = r#"
	fmt.Fprintf(w, "extra=%d ", extra())"#;

const MORE: &str = r#"
type late struct{ last *node }

func (l *late) Area() int { return len(l.last.buf) - 63 }

var latest = &late{last: &node{}}
var extras int
var shapes []lib.Shape

func extra() int {
	// Its pointers into the heap are in memory that came with a patch.
	if latest.last.buf == nil {
		latest.last.buf = make([]byte, 64)
	}
	shapes = append(shapes[:0], latest)
	mu.Lock()
	defer mu.Unlock()
	extras += shapes[0].Area()
	return extras
}
"#;

const MAIN: &str = r#"package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"example.com/app/lib"
)

type server struct {
	mu   sync.Mutex
	hits int
	seen map[string]int
}

type node struct {
	next *node
	buf  []byte
}

var (
	srv    = &server{seen: map[string]int{}}
	pool   = sync.Pool{New: func() any { return new(bytes.Buffer) }}
	born   = time.Now()
	client = &http.Client{Timeout: time.Second}
	base   = url.URL{Scheme: "http"}
	keep   = map[string]*node{}
	mu     sync.Mutex
	shape  = lib.New(3)
)

func pick[T any](xs []T, i int) string { return fmt.Sprintf("generic VERSION %v", xs[i%len(xs)]) }

func where() int { _, _, line, _ := runtime.Caller(1); return line }

func (s *server) hello(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hits++
	b := pool.Get().(*bytes.Buffer)
	b.Reset()
	defer pool.Put(b)
	n := 0
	keep[r.URL.Path] = &node{next: keep[r.URL.Path], buf: make([]byte, 64+s.hits%64)}
	for x := keep[r.URL.Path]; x != nil && n < 1000; x = x.next {
		n++
	}
	if n == 1000 {
		delete(keep, r.URL.Path)
	}
	fmt.Fprintf(b, "hello VERSION hits=%d chain=%d %s up=%t %v %s line=%d ",
		s.hits, n, pick([]int{7}, s.hits), time.Since(born) > 0, client.Timeout, base.Scheme, where())
	w.Write(b.Bytes())EXTRA
}

func greet(prefix string) http.HandlerFunc {
	count := 0
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		count++
		fmt.Fprintf(w, "closure VERSION %s count=%d", prefix, count)
	}
}

func crash(w http.ResponseWriter, r *http.Request) {
	defer func() { fmt.Fprintf(w, "crash VERSION recovered: %v", recover()) }()
	var m map[string]int
	m["x"] = 1
}

func describe(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, lib.Describe(shape)) }

func again(w http.ResponseWriter, r *http.Request) { greet("again")(w, r) }

// What the goroutines of a storm have done last, and how many live.
var blown, waited, spawned atomic.Value
var alive atomic.Int64

func blow(depth int) {
	defer func() {
		if recover() != nil {
			blown.Store("VERSION")
		}
	}()
	if depth == 0 {
		panic("blow")
	}
	blow(depth - 1)
	panic("again")
}

func wait() {
	told := make(chan string)
	go func() { told <- "VERSION" }()
	select {
	case text := <-told:
		waited.Store(text)
	case <-time.After(time.Minute):
	}
}

func spawn() {
	var all sync.WaitGroup
	for range 3 {
		all.Add(1)
		go func() {
			defer all.Done()
			spawned.Store("VERSION")
		}()
	}
	all.Wait()
}

func live(number int) {
	alive.Add(1)
	defer alive.Add(-1)
	for turn := number; ; turn++ {
		switch turn % 4 {
		case 0:
			blow(turn % 30)
		case 1:
			wait()
		case 2:
			spawn()
		default:
			time.Sleep(100 * time.Millisecond)
		}
	}
}

func storm(w http.ResponseWriter, r *http.Request) {
	for number := range 1000 {
		go live(number)
	}
	fmt.Fprint(w, "begun")
}

func calm(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "blown %v, waited %v, spawned %v, %d of 1000", blown.Load(), waited.Load(), spawned.Load(), alive.Load())
}

func main() {
	http.HandleFunc("/lib", describe)
	http.HandleFunc("/storm", storm)
	http.HandleFunc("/calm", calm)
	http.HandleFunc("/", srv.hello)
	http.HandleFunc("/greet", greet("dear"))
	http.HandleFunc("/again", again)
	http.HandleFunc("/crash", crash)
	panic(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
"#;

const LIBRARY: &str = r#"package lib

import "example.com/app/sum"
import "fmt"

type Shape interface{ Area() int }

type sq struct{ a int }

func (s sq) Area() int { return sum.Of(s.a*s.a, OFFSET) }

var made int

func New(a int) Shape {
	made++
	return sq{a}
}

// Twice is called through a closure, with a shape that main does not have.
func Twice[T any](x T) string { return fmt.Sprintf("%v%v VERSION", x, x) }

func twice() func(uint8) string { return func(x uint8) string { return Twice(x) + " closed VERSION" } }

var held = twice()

// It has a table of where its cases are, and no frame.
func grade(n int) string {
	switch n {
	case 0:
		return "0 VERSION"
	case 1:
		return "lib VERSION"
	case 2:
		return "2 VERSION"
	case 3:
		return "3 VERSION"
	case 4:
		return "4 VERSION"
	case 5:
		return "5 VERSION"
	case 6:
		return "6 VERSION"
	case 7:
		return "7 VERSION"
	case 8:
		return "8 VERSION"
	}
	return "VERSION"
}

func Describe(s Shape) (text string) {
	defer func() { text += " " + held(1) }()
	return fmt.Sprintf("%s area=%d made=%d", grade(made), s.Area(), made)
}
"#;

/// A package in assembly, which knows nothing of Go's calling convention.
pub const SUM: [(&str, &str); 2] = [
    ("sum/sum.go", "package sum\n\nfunc Of(a, b int) int\n"),
    (
        "sum/sum_amd64.s",
        "TEXT \u{b7}Of(SB),4,$0-24\n\tMOVQ a+0(FP), AX\n\tADDQ b+8(FP), AX\n\tMOVQ AX, ret+16(FP)\n\tXORL R14, R14\n\tRET\n",
    ),
];
