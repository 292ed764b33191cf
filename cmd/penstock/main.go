// Command penstock is AWS CodePipeline in one binary.
package main

func main() {}
