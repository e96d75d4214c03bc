package main

// Alone it has nothing to do; it is compiled like this to be checked.
func main() {}
