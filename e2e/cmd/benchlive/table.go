package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"joolctl/e2e"
	"joolctl/e2e/guest"
)

// measured has the measurements of one version of Jool.
type measured struct {
	jool string
	live guest.Live
}

// tables has all tables.
func tables(all, keyed []measured) string {
	var parts []string
	for _, table := range []func([]measured) string{settings, latency, crashes, costs, counts} {
		if text := table(all); text != "" {
			parts = append(parts, text)
		}
	}
	if text := keys(keyed); text != "" {
		parts = append(parts, text)
	}
	return strings.Join(parts, "\n")
}

// table is a table with a head, or empty if it has no rows.
func table(rows []string, head ...string) string {
	if len(rows) == 0 {
		return ""
	}
	return row(head...) + "|" + strings.Repeat("---|", len(head)) + "\n" + strings.Join(rows, "")
}

func row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// settings lists the settings that joolctl changes.
func settings(all []measured) string {
	var lines []string
	for _, m := range all {
		var changed []string
		for name, value := range m.live.Settings {
			changed = append(changed, fmt.Sprintf("`%s %d`", name, value))
		}
		slices.Sort(changed)
		if len(changed) > 0 {
			lines = append(lines, fmt.Sprintf("Jool %s: `tune ss` sets %s.\n", m.jool, strings.Join(changed, ", ")))
		}
	}
	return strings.Join(lines, "\n")
}

// latency is the table of latencies.
func latency(all []measured) string {
	var rows []string
	for _, m := range all {
		for _, traffic := range guest.LiveTraffics {
			if e2e.LatencyOf(m.live, guest.LiveOurs, traffic).Opened == 0 {
				continue
			}
			cells := []string{m.jool, traffic}
			for _, variant := range guest.LiveVariants {
				cells = append(cells, latencyCell(e2e.LatencyOf(m.live, variant, traffic)))
			}
			rows = append(rows, row(append(cells, stalls(e2e.LatencyOf(m.live, guest.LiveOurs, traffic)))...))
		}
	}
	return table(rows, append([]string{"Jool", "new sessions"}, append(slices.Clone(guest.LiveVariants), "the machine itself beside joolctl")...)...)
}

func latencyCell(l e2e.LiveLatency) string {
	if l.Opened == 0 {
		return ""
	}
	quantile := func(part float64) string {
		var rounds []time.Duration
		for _, r := range l.Rounds {
			took := r.Times()
			if len(took) == 0 {
				continue
			}
			rounds = append(rounds, took[min(len(took)-1, int(part*float64(len(took))))])
		}
		text := millis(l.Quantile(part))
		if len(rounds) > 1 {
			text += fmt.Sprintf(" (%s–%s)", millis(slices.Min(rounds)), millis(slices.Max(rounds)))
		}
		return text
	}
	text := fmt.Sprintf("p50 %s, p99 %s ms; %.1f %% within %d ms", quantile(0.5), quantile(0.99), 100*l.Within(e2e.LateFrom), e2e.LateFrom.Milliseconds())
	if l.Lost > 0 {
		text += fmt.Sprintf("; %d of %d lost", l.Lost, l.Opened)
	}
	return text
}

func millis(d time.Duration) string {
	if d >= e2e.Never {
		return "∞"
	}
	if d >= 100*time.Millisecond {
		return fmt.Sprintf("%.0f", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.1f", d.Seconds()*1000)
}

// stalls describes the machine's stalls, and the late samples that overlap with one.
func stalls(l e2e.LiveLatency) string {
	var worst guest.LiveStalls
	var resolution time.Duration
	for _, r := range l.Rounds {
		worst.P50, worst.P99, worst.Longest = max(worst.P50, r.Stalls.P50), max(worst.P99, r.Stalls.P99), max(worst.Longest, r.Stalls.Longest)
		resolution = max(resolution, r.Resolution)
	}
	const late, stall = 30 * time.Millisecond, 5 * time.Millisecond
	n, stalled := l.Late(late, stall)
	forwarded := l.Forwarded()
	text := fmt.Sprintf("packets reach n4: p50 %s, p99 %s ms; stalls: p50 %s, p99 %s, longest %s ms; a poll every %s ms; %d sessions",
		millis(forwarded(0.5)), millis(forwarded(0.99)), millis(worst.P50), millis(worst.P99), millis(worst.Longest), millis(resolution), l.Opened)
	if n > 0 {
		text += fmt.Sprintf(", %d of %d ms or more, %d of them with a stall of %d ms or more", n, late.Milliseconds(), stalled, stall.Milliseconds())
	}
	return text
}

// crashes is the table of crashes.
func crashes(all []measured) string {
	var rows []string
	for _, m := range all {
		for _, rate := range guest.LiveRates {
			if len(e2e.CrashesOf(m.live, guest.LiveOurs, rate)) == 0 {
				continue
			}
			cells := []string{m.jool, rate}
			for _, variant := range guest.LiveVariants {
				cells = append(cells, crashCell(e2e.CrashesOf(m.live, variant, rate)))
			}
			rows = append(rows, row(cells...))
		}
	}
	return table(rows, append([]string{"Jool", "TCP connections opened until the crash"}, guest.LiveVariants...)...)
}

func crashCell(all e2e.LiveCrashes) string {
	if len(all) == 0 {
		return ""
	}
	connections, survivors := 0, 0
	var youngest, oldest time.Duration
	for _, m := range all {
		connections += m.Connections
		survivors += m.Survivors
		youngest = max(youngest, m.YoungestSurvivor)
		if len(m.Lost) > 0 {
			oldest = max(oldest, m.Lost[0])
		}
	}
	const older = 100 * time.Millisecond
	text := fmt.Sprintf("%d of %d survive; all older than %d ms in %d of %d crashes", survivors, connections, older.Milliseconds(), all.Whole(older), len(all))
	if oldest > 0 {
		text += fmt.Sprintf("; oldest lost one: %s ms", millis(oldest))
	}
	return text + fmt.Sprintf("; youngest survivor of the worst crash: %s ms", millis(youngest))
}

// costs is the table of processor time.
func costs(all []measured) string {
	var rows []string
	for _, m := range all {
		for _, r := range e2e.LiveRatios {
			cells := []string{m.jool, r.Traffic, r.Name}
			for _, beside := range guest.LiveVariants[:2] {
				cells = append(cells, spread(m.live, guest.LiveOurs, beside, r))
			}
			if cells[3]+cells[4] != "" {
				rows = append(rows, row(cells...))
			}
		}
	}
	return table(rows, "Jool", "traffic", "joolctl, median (range)", "beside "+guest.LiveVariants[0], "beside "+guest.LiveVariants[1])
}

// counts is the table of packets and sessions in a slice.
func counts(all []measured) string {
	var rows []string
	for _, m := range all {
		for _, c := range []struct {
			traffic, name string
			of            func(guest.LiveCost) uint64
		}{
			{guest.LiveSteady, "packets that J translates", func(c guest.LiveCost) uint64 { return c.Packets }},
			{guest.LiveSteady, "sessions that J's module drops (ENOSPC)", func(c guest.LiveCost) uint64 { return c.Dropped }},
			{guest.LiveNew, "sessions that J's module drops (ENOSPC)", func(c guest.LiveCost) uint64 { return c.Dropped }},
			{guest.LiveNew, "sessions that K gets", func(c guest.LiveCost) uint64 { return c.Stored }},
		} {
			cells := []string{m.jool, c.traffic, c.name}
			for _, variant := range guest.LiveVariants {
				cells = append(cells, medianCount(m.live, variant, c.traffic, c.of))
			}
			if strings.Join(cells[3:], "") != "" {
				rows = append(rows, row(cells...))
			}
		}
	}
	return table(rows, append([]string{"Jool", "traffic", "in a slice, median (range)"}, guest.LiveVariants...)...)
}

func medianCount(live guest.Live, variant, traffic string, of func(guest.LiveCost) uint64) string {
	var values []float64
	for _, c := range live.Costs {
		if c.Variant == variant && c.Traffic == traffic {
			values = append(values, float64(of(c)))
		}
	}
	if len(values) == 0 {
		return ""
	}
	slices.Sort(values)
	return fmt.Sprintf("%.0f (%.0f–%.0f)", e2e.Median(values), values[0], values[len(values)-1])
}

// spread shows the median ratio of all slices, and the range of the rounds' medians.
func spread(live guest.Live, variant, beside string, r e2e.LiveRatio) string {
	all, rounds := e2e.Ratios(live, variant, beside, r), e2e.RoundRatios(live, variant, beside, r)
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", e2e.Median(all), rounds[0], rounds[len(rounds)-1])
}
