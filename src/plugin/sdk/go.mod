module hotwatch.invalid/hotplug

go 1.22
