// Package scalesetclient holds the sandbox's GitHub against the client that GitHub itself publishes for the protocol: what
// this client accepts, Actions Runner Controller accepts.
package scalesetclient

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/actions/scaleset"
	"github.com/actions/scaleset/listener"
)

func env(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s must be set", name)
	}
	return value
}

func newClient(t *testing.T) *scaleset.Client {
	t.Helper()
	// An enterprise knows no App.
	if token := os.Getenv("SCALESET_TOKEN"); token != "" {
		client, err := scaleset.NewClientWithPersonalAccessToken(scaleset.NewClientWithPersonalAccessTokenConfig{
			GitHubConfigURL:     env(t, "SCALESET_GITHUB_URL") + "/" + env(t, "SCALESET_SCOPE"),
			PersonalAccessToken: token,
			SystemInfo:          scaleset.SystemInfo{System: "sandbox-test", Subsystem: "listener"},
		}, scaleset.WithRetryMax(1), scaleset.WithRetryWaitMax(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	installation, err := strconv.ParseInt(env(t, "SCALESET_INSTALLATION_ID"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	client, err := scaleset.NewClientWithGitHubApp(scaleset.ClientWithGitHubAppConfig{
		GitHubConfigURL: env(t, "SCALESET_GITHUB_URL") + "/" + env(t, "SCALESET_SCOPE"),
		GitHubAppAuth: scaleset.GitHubAppAuth{
			ClientID:       env(t, "SCALESET_APP_ID"),
			InstallationID: installation,
			PrivateKey:     env(t, "SCALESET_PRIVATE_KEY"),
		},
		SystemInfo: scaleset.SystemInfo{System: "sandbox-test", Subsystem: "listener"},
	}, scaleset.WithRetryMax(1), scaleset.WithRetryWaitMax(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func post(t *testing.T, url, token string, body any) map[string]any {
	t.Helper()
	encoded, _ := json.Marshal(body)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	if response.StatusCode >= 300 {
		t.Fatalf("POST %s: %s %s", url, response.Status, text)
	}
	var answer map[string]any
	_ = json.Unmarshal(text, &answer)
	return answer
}

// runner plays the program that is started with a JIT configuration.
type runner struct {
	server string
	token  string
	id     int
}

func unpackRunner(t *testing.T, config *scaleset.RunnerScaleSetJitRunnerConfig) runner {
	t.Helper()
	unpack := func(encoded string, into any) {
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	var files map[string]string
	unpack(config.EncodedJITConfig, &files)
	var settings struct {
		ServerURL string `json:"serverUrl"`
	}
	unpack(files[".runner"], &settings)
	var credentials struct {
		Data struct {
			Token string `json:"token"`
		} `json:"data"`
	}
	unpack(files[".credentials"], &credentials)
	return runner{server: settings.ServerURL, token: credentials.Data.Token, id: config.Runner.ID}
}

func (r runner) say(t *testing.T, what string, body any) map[string]any {
	return post(t, fmt.Sprintf("%s_sandbox/runners/%d/%s", r.server, r.id, what), r.token, body)
}

// seen is the scaler of GitHub's own listener: it starts runners and remembers what it was told.
type seen struct {
	t         *testing.T
	client    *scaleset.Client
	set       *scaleset.RunnerScaleSet
	max       int
	started   []*scaleset.JobStarted
	completed []*scaleset.JobCompleted
	runners   []runner
	done      context.CancelFunc
}

func (s *seen) HandleDesiredRunnerCount(ctx context.Context, count int) (int, error) {
	for len(s.runners) < min(count, s.max) {
		name := fmt.Sprintf("%s-runner-%d", s.set.Name, len(s.runners))
		config, err := s.client.GenerateJitRunnerConfig(ctx, &scaleset.RunnerScaleSetJitRunnerSetting{Name: name}, s.set.ID)
		if err != nil {
			return 0, err
		}
		r := unpackRunner(s.t, config)
		s.runners = append(s.runners, r)
		if job := r.say(s.t, "job", nil); job["jobId"] == nil {
			s.t.Errorf("runner %d got no job", r.id)
		}
	}
	return len(s.runners), nil
}

func (s *seen) HandleJobStarted(ctx context.Context, job *scaleset.JobStarted) error {
	s.started = append(s.started, job)
	if err := s.client.RemoveRunner(ctx, int64(job.RunnerID)); !errors.Is(err, scaleset.JobStillRunningError) {
		s.t.Errorf("a busy runner was removed: %v", err)
	}
	for _, r := range s.runners {
		if r.id == job.RunnerID {
			r.say(s.t, "finish", nil)
		}
	}
	return nil
}

func (s *seen) HandleJobCompleted(_ context.Context, job *scaleset.JobCompleted) error {
	s.completed = append(s.completed, job)
	s.done()
	return nil
}

func TestOneJobFromQueuedToCompleted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client := newClient(t)
	name := env(t, "SCALESET_NAME")

	group, err := client.GetRunnerGroupByName(ctx, "default")
	if err != nil || group.ID != 1 || !group.IsDefault {
		t.Fatalf("default group: %+v %v", group, err)
	}
	if _, err := client.GetRunnerGroupByName(ctx, "absent"); err == nil {
		t.Fatal("an absent group was found")
	}
	if absent, err := client.GetRunnerScaleSet(ctx, 1, name); err != nil || absent != nil {
		t.Fatalf("before: %+v %v", absent, err)
	}
	set, err := client.CreateRunnerScaleSet(ctx, &scaleset.RunnerScaleSet{
		Name: name, RunnerGroupID: 1, RunnerSetting: scaleset.RunnerSetting{DisableUpdate: true},
	})
	if err != nil || set.ID == 0 || set.RunnerGroupName != "Default" || !set.RunnerSetting.DisableUpdate {
		t.Fatalf("created: %+v %v", set, err)
	}
	if set.Labels[0].Name != name || set.Labels[0].Type != "System" {
		t.Fatalf("labels: %+v", set.Labels)
	}
	if again, err := client.GetRunnerScaleSet(ctx, 1, name); err != nil || again.ID != set.ID {
		t.Fatalf("by name: %+v %v", again, err)
	}
	if _, err := client.CreateRunnerScaleSet(ctx, &scaleset.RunnerScaleSet{Name: name, RunnerGroupID: 1}); err == nil {
		t.Fatal("the same name was created twice")
	}
	if byID, err := client.GetRunnerScaleSetByID(ctx, set.ID); err != nil || byID.Name != name {
		t.Fatalf("by id: %+v %v", byID, err)
	}

	session, err := client.MessageSessionClient(ctx, set.ID, "first")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.MessageSessionClient(ctx, set.ID, "second"); err == nil || !strings.Contains(err.Error(), "409") {
		t.Fatalf("a second session: %v", err)
	}
	if message, err := session.GetMessage(ctx, 0, 10); err != nil || message != nil {
		t.Fatalf("an idle queue: %+v %v", message, err)
	}
	post(t, env(t, "SCALESET_GITHUB_URL")+"/_sandbox/jobs", "", map[string]any{
		"repository": env(t, "SCALESET_REPOSITORY"), "labels": []string{name}, "name": "unit", "conclusion": "failure",
	})

	listening, stop := context.WithCancel(ctx)
	scaler := &seen{t: t, client: client, set: set, max: 10, done: stop}
	loop, err := listener.New(session, listener.Config{ScaleSetID: set.ID, MaxRunners: 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := loop.Run(listening, scaler); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if len(scaler.started) != 1 || len(scaler.completed) != 1 {
		t.Fatalf("started %d, completed %d", len(scaler.started), len(scaler.completed))
	}
	job := scaler.completed[0]
	if job.Result != "failed" || job.JobDisplayName != "unit" || job.RunnerName != name+"-runner-0" || job.JobID == "" || job.WorkflowRunID == 0 {
		t.Fatalf("completed: %+v", job)
	}
	if job.OwnerName+"/"+job.RepositoryName != env(t, "SCALESET_REPOSITORY") || job.FinishTime.Before(job.RunnerAssignTime) {
		t.Fatalf("completed: %+v", job)
	}
	if _, err := client.GetRunner(ctx, job.RunnerID); !errors.Is(err, scaleset.RunnerNotFoundError) {
		t.Fatalf("the runner outlived its job: %v", err)
	}

	if err := session.Close(ctx); err != nil {
		t.Fatal(err)
	}
	third, err := client.MessageSessionClient(ctx, set.ID, "third")
	if err != nil {
		t.Fatalf("after closing: %v", err)
	}
	if assigned := third.Session().Statistics.TotalAssignedJobs; assigned != 0 {
		t.Fatalf("assigned: %d", assigned)
	}
	if err := third.Close(ctx); err != nil {
		t.Fatal(err)
	}
	renamed, err := client.UpdateRunnerScaleSet(ctx, set.ID, &scaleset.RunnerScaleSet{Name: name + "-2", RunnerGroupID: 1})
	if err != nil || renamed.Name != name+"-2" {
		t.Fatalf("renamed: %+v %v", renamed, err)
	}
	if err := client.DeleteRunnerScaleSet(ctx, set.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := client.GetRunnerScaleSetByID(ctx, set.ID); err == nil {
		t.Fatal("a deleted scale set was found")
	}
}

func TestRunners(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client := newClient(t)
	set, err := client.CreateRunnerScaleSet(ctx, &scaleset.RunnerScaleSet{Name: env(t, "SCALESET_NAME") + "-runners", RunnerGroupID: 1})
	if err != nil {
		t.Fatal(err)
	}
	setting := &scaleset.RunnerScaleSetJitRunnerSetting{Name: set.Name + "-a"}
	config, err := client.GenerateJitRunnerConfig(ctx, setting, set.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.GenerateJitRunnerConfig(ctx, setting, set.ID); !errors.Is(err, scaleset.RunnerExistsError) {
		t.Fatalf("the same runner twice: %v", err)
	}
	found, err := client.GetRunnerByName(ctx, setting.Name)
	if err != nil || found.ID != config.Runner.ID || found.RunnerScaleSetID != set.ID {
		t.Fatalf("by name: %+v %v", found, err)
	}
	if err := client.RemoveRunner(ctx, int64(found.ID)); err != nil {
		t.Fatal(err)
	}
	if gone, err := client.GetRunnerByName(ctx, setting.Name); err != nil || gone != nil {
		t.Fatalf("after removal: %+v %v", gone, err)
	}
	if err := client.DeleteRunnerScaleSet(ctx, set.ID); err != nil {
		t.Fatal(err)
	}
}
