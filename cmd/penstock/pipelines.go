package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/spf13/cobra"

	"penstock/internal/watch"
)

func now() time.Time { return time.Now() }

// style and width are those of standard output.
func style() watch.Style { return watch.StyleFor(os.Getenv, watch.NewScreen(os.Stdout) != nil) }

func width() int {
	if s := watch.NewScreen(os.Stdout); s != nil {
		return s.Width()
	}
	return 0
}

// listed is a pipeline in the output of list.
type listed struct {
	Name    string    `json:"name"`
	Version int32     `json:"version"`
	Type    string    `json:"type"`
	Mode    string    `json:"mode"`
	Updated time.Time `json:"updated"`
}

func newList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the pipelines", Args: cobra.NoArgs}
	c := newClient(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := c.connect(cmd)
		if err != nil {
			return err
		}
		list := []listed{}
		pages := codepipeline.NewListPipelinesPaginator(api.Pipelines, &codepipeline.ListPipelinesInput{})
		for pages.HasMorePages() {
			page, err := pages.NextPage(cmd.Context())
			if err != nil {
				return err
			}
			for _, p := range page.Pipelines {
				list = append(list, listed{aws.ToString(p.Name), aws.ToInt32(p.Version), string(p.PipelineType), string(p.ExecutionMode), aws.ToTime(p.Updated)})
			}
		}
		if *c.json {
			return c.print(list)
		}
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tVERSION\tTYPE\tMODE\tUPDATED")
		for _, p := range list {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", watch.Clean(p.Name), p.Version, p.Type, p.Mode, p.Updated.Local().Format(time.DateTime))
		}
		return w.Flush()
	}
	return cmd
}

func newStart() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "start NAME",
		Short: "Start an execution",
		Long: `Start an execution and print its id.

--revision names what a source action takes: ACTION=COMMIT_ID:…, ACTION=S3_OBJECT_VERSION_ID:…,
ACTION=S3_OBJECT_KEY:… or ACTION=IMAGE_DIGEST:…. With --watch the exit codes are those of watch.`,
		Args: cobra.ExactArgs(1),
	}
	c := newClient(cmd)
	vars := cmd.Flags().StringArray("var", nil, "value of a pipeline variable: NAME=VALUE")
	revisions := cmd.Flags().StringArray("revision", nil, "revision of a source action: ACTION=TYPE:VALUE")
	follow := cmd.Flags().Bool("watch", false, "follow the execution until it ends")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in := &codepipeline.StartPipelineExecutionInput{Name: &args[0]}
		for _, v := range *vars {
			name, value, ok := strings.Cut(v, "=")
			if !ok {
				return usageError{fmt.Errorf("--var %q: it is NAME=VALUE", v)}
			}
			in.Variables = append(in.Variables, types.PipelineVariable{Name: &name, Value: &value})
		}
		for _, r := range *revisions {
			action, rest, ok := strings.Cut(r, "=")
			kind, value, colon := strings.Cut(rest, ":")
			if !ok || !colon {
				return usageError{fmt.Errorf("--revision %q: it is ACTION=TYPE:VALUE", r)}
			}
			in.SourceRevisions = append(in.SourceRevisions, types.SourceRevisionOverride{
				ActionName: &action, RevisionType: types.SourceRevisionType(kind), RevisionValue: &value})
		}
		api, err := c.connect(cmd)
		if err != nil {
			return err
		}
		out, err := api.Pipelines.StartPipelineExecution(cmd.Context(), in)
		if err != nil {
			return err
		}
		id := aws.ToString(out.PipelineExecutionId)
		if *follow {
			return c.follow(cmd.Context(), api, args[0], id, false)
		}
		if *c.json {
			return c.print(map[string]string{"pipelineExecutionId": id})
		}
		fmt.Fprintln(c.out, id)
		return nil
	}
	return cmd
}

func newLogs() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "logs NAME STAGE/ACTION",
		Short: "Print the log of a CodeBuild action's last run",
		Args:  cobra.ExactArgs(2),
	}
	c := newClient(cmd)
	follow := cmd.Flags().BoolP("follow", "f", false, "go on until the build has ended")
	in := cmd.Flags().String("execution", "", "execution whose run is meant; the newest if empty")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		stage, action, err := place(args[1])
		if err != nil {
			return err
		}
		api, err := c.connect(cmd)
		if err != nil {
			return err
		}
		ctx := cmd.Context()
		run, err := api.Run(ctx, args[0], *in, stage, action)
		if err != nil {
			return err
		}
		log, err := api.LogOf(run)
		if err != nil {
			return err
		}
		colours := style().Colour
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			lines, over, err := log.Next(ctx)
			for _, l := range lines {
				if colours {
					fmt.Fprintln(c.out, watch.CleanLog(l)+"\x1b[0m")
				} else {
					fmt.Fprintln(c.out, watch.Clean(l))
				}
			}
			if err != nil || over || !*follow {
				return err
			}
			select {
			case <-ctx.Done():
				return exitCode(exitInterrupted)
			case <-tick.C:
			}
		}
	}
	return cmd
}
