package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

const warmUp = 2 * time.Second

// load keeps CONNECTIONS requests under way for SECONDS and prints what it saw as JSON.
// It speaks HTTP/1.1, as the API server does with webhooks, and reads every answer, which must hold EXPECTED.
func load(arguments []string) error {
	authority, err := os.ReadFile(arguments[1])
	if err != nil {
		return err
	}
	body, err := os.ReadFile(arguments[2])
	if err != nil {
		return err
	}
	connections, first := strconv.Atoi(arguments[4])
	seconds, second := strconv.ParseFloat(arguments[5], 64)
	if err := errors.Join(first, second); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	question := question{arguments[0], roots, body, []byte(arguments[3])}
	began := time.Now().Add(warmUp)
	end := began.Add(time.Duration(seconds * float64(time.Second)))
	each, failures := make([][]float64, connections), make([]error, connections)
	counts := make([]int, connections)
	var group sync.WaitGroup
	for number := range connections {
		group.Go(func() { each[number], counts[number], failures[number] = question.ask(began, end) })
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	all := slices.Concat(each...)
	if len(all) == 0 {
		return errors.New("no request was answered")
	}
	total := 0
	for _, count := range counts {
		total += count
	}
	slices.Sort(all)
	quantile := func(share float64) float64 { return all[min(len(all)-1, int(float64(len(all))*share))] }
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"all": float64(total), "per_second": float64(len(all)) / seconds,
		"p50": quantile(0.5), "p99": quantile(0.99),
	})
}

// question is what is sent, to whom, and what the answer must hold.
type question struct {
	url            string
	roots          *x509.CertPool
	body, expected []byte
}

// ask uses one connection: milliseconds of the requests that were sent in [began, end), and how many there were
// with those before.
func (q question) ask(began, end time.Time) (seen []float64, count int, err error) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: q.roots}, MaxConnsPerHost: 1}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	defer transport.CloseIdleConnections()
	for sent := time.Now(); sent.Before(end); sent = time.Now() {
		answer, err := client.Post(q.url, "application/json", bytes.NewReader(q.body))
		if err != nil {
			return nil, 0, err
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return nil, 0, err
		}
		if answer.StatusCode != http.StatusOK || !bytes.Contains(text, q.expected) {
			return nil, 0, fmt.Errorf("answered %d: %.200s", answer.StatusCode, text)
		}
		if !sent.Before(began) {
			seen = append(seen, float64(time.Since(sent).Microseconds())/1000)
		}
		count++
	}
	return seen, count, nil
}
