module hotwatch.invalid/agent

go 1.22
