package codedeploy

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	api "penstock/internal/api/codedeploy"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const predefinedPrefix = "CodeDeployDefault."

// predefined are the configurations that everybody has (E.1), by name.
var predefined = []api.DeploymentConfigInfo{
	predefine(predefinedPrefix+"AllAtOnce", hostCount, 0),
	predefine(predefinedPrefix+"HalfAtATime", fleetPercent, 50),
	predefine(oneAtATime, mostConcurrency, 1),
}

func predefine(name, kind string, value int32) api.DeploymentConfigInfo {
	return api.DeploymentConfigInfo{DeploymentConfigName: name, ComputePlatform: serverPlatform, MinimumHealthyHosts: &api.MinimumHealthyHosts{Type: kind, Value: &value}}
}

// nameOfConfig checks the name that a request is about and authorises the operation on it.
func nameOfConfig(ctx context.Context, operation, name string) (auth.Caller, error) {
	c, err := check(ctx, operation, kindConfig, name)
	if err == nil {
		err = checkName("InvalidDeploymentConfigNameException", "deploymentConfigName", name)
	}
	return c, err
}

func findPredefined(name string) *api.DeploymentConfigInfo {
	if i := slices.IndexFunc(predefined, func(d api.DeploymentConfigInfo) bool { return d.DeploymentConfigName == name }); i >= 0 {
		return &predefined[i]
	}
	return nil
}

func noConfig(err error, name string) error {
	return orMissing(err, "DeploymentConfigDoesNotExistException", "No Deployment Configuration found for name: %s", name)
}

// config finds a configuration.
func config(ctx context.Context, tx *store.Tx, account, region, name string) (*api.DeploymentConfigInfo, error) {
	if d := findPredefined(name); d != nil {
		return d, nil
	}
	row, err := tx.GetCodeDeployConfig(ctx, account, region, name)
	if err != nil {
		return nil, noConfig(err, name)
	}
	d := &api.DeploymentConfigInfo{}
	return d, json.Unmarshal([]byte(row.Doc), d)
}

// lockConfig has a configuration stay until the transaction's end, and gives its id; "" for one
// that nobody has made.
func lockConfig(ctx context.Context, tx *store.Tx, c auth.Caller, name string) (string, error) {
	if findPredefined(name) != nil {
		return "", nil
	}
	row, err := tx.LockCodeDeployConfig(ctx, c.Account, c.Region, name)
	return row.ID, noConfig(err, name)
}

// CreateDeploymentConfig implements the API.
func (r *Room) CreateDeploymentConfig(ctx context.Context, in *api.CreateDeploymentConfigInput) (*api.CreateDeploymentConfigOutput, error) {
	c, err := nameOfConfig(ctx, "CreateDeploymentConfig", in.DeploymentConfigName)
	if err != nil {
		return nil, err
	}
	healthy := in.MinimumHealthyHosts
	switch {
	case strings.HasPrefix(in.DeploymentConfigName, predefinedPrefix):
		return nil, fault.New("InvalidDeploymentConfigNameException", "deploymentConfigName %s: names that begin with %s are reserved.", in.DeploymentConfigName, predefinedPrefix)
	case in.ComputePlatform != "" && in.ComputePlatform != serverPlatform:
		return nil, fault.New("InvalidComputePlatformException", "computePlatform %s: this server deploys to the platform Server only, to on-premises instances.", in.ComputePlatform)
	case in.TrafficRoutingConfig != nil:
		return nil, fault.New("InvalidTrafficRoutingConfigurationException", "trafficRoutingConfig: the platform Server shifts no traffic.")
	case in.ZonalConfig != nil:
		return nil, fault.New("InvalidZonalDeploymentConfigurationException", "zonalConfig: this server does not have that. On-premises instances are in no zone.")
	case healthy == nil || healthy.Value == nil || *healthy.Value < 0 || healthy.Type == fleetPercent && *healthy.Value > 100 || healthy.Type != fleetPercent && healthy.Type != hostCount:
		return nil, fault.New("InvalidMinimumHealthyHostValueException", "minimumHealthyHosts has the type HOST_COUNT with a value of 0 or more, or FLEET_PERCENT with a value of 0 to 100.")
	}
	row := store.CodeDeployConfig{Account: c.Account, Region: c.Region, Name: in.DeploymentConfigName, ID: newUUID()}
	return &api.CreateDeploymentConfigOutput{DeploymentConfigId: row.ID}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		text, err := json.Marshal(api.DeploymentConfigInfo{
			DeploymentConfigId: row.ID, DeploymentConfigName: row.Name, MinimumHealthyHosts: healthy, CreateTime: new(tx.Now()), ComputePlatform: serverPlatform,
		})
		if err != nil {
			return err
		}
		row.Doc = string(text)
		if err := tx.LockAccount(ctx, c.Account); err != nil {
			return err
		}
		all, err := tx.ListCodeDeployConfigs(ctx, c.Account, c.Region, store.Keyset{Limit: maxConfigs})
		if err != nil {
			return err
		}
		if len(all) == maxConfigs {
			return fault.New("DeploymentConfigLimitExceededException", "An account has at most %d deployment configurations in a Region.", maxConfigs)
		}
		free, err := tx.AddCodeDeployConfig(ctx, row)
		if err == nil && !free {
			err = fault.New("DeploymentConfigAlreadyExistsException", "Deployment Configuration already exists: %s", row.Name)
		}
		return err
	})
}

// GetDeploymentConfig implements the API.
func (r *Room) GetDeploymentConfig(ctx context.Context, in *api.GetDeploymentConfigInput) (*api.GetDeploymentConfigOutput, error) {
	c, err := nameOfConfig(ctx, "GetDeploymentConfig", in.DeploymentConfigName)
	if err != nil {
		return nil, err
	}
	out := &api.GetDeploymentConfigOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		out.DeploymentConfigInfo, err = config(ctx, tx, c.Account, c.Region, in.DeploymentConfigName)
		return err
	})
}

// ListDeploymentConfigs implements the API: the predefined ones are on the first page.
func (r *Room) ListDeploymentConfigs(ctx context.Context, in *api.ListDeploymentConfigsInput) (*api.ListDeploymentConfigsOutput, error) {
	c, err := everything(ctx, "ListDeploymentConfigs")
	if err != nil {
		return nil, err
	}
	key, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListDeploymentConfigsOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.DeploymentConfigsList, out.NextToken = []string{}, ""
		if key.After == "" {
			for _, d := range predefined {
				out.DeploymentConfigsList = append(out.DeploymentConfigsList, d.DeploymentConfigName)
			}
		}
		list, err := tx.ListCodeDeployConfigs(ctx, c.Account, c.Region, store.Keyset{After: key.After, Limit: pageSize + 1})
		for i, d := range list {
			if i == pageSize {
				out.NextToken = pageToken(list[i-1].Name, key.Time)
				break
			}
			out.DeploymentConfigsList = append(out.DeploymentConfigsList, d.Name)
		}
		return err
	})
}

// DeleteDeploymentConfig implements the API.
func (r *Room) DeleteDeploymentConfig(ctx context.Context, in *api.DeleteDeploymentConfigInput) (*api.DeleteDeploymentConfigOutput, error) {
	c, err := nameOfConfig(ctx, "DeleteDeploymentConfig", in.DeploymentConfigName)
	if err != nil {
		return nil, err
	}
	if findPredefined(in.DeploymentConfigName) != nil {
		return nil, fault.New("InvalidOperationException", "%s is a predefined deployment configuration and cannot be deleted.", in.DeploymentConfigName)
	}
	return nil, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		row, err := tx.LockCodeDeployConfig(ctx, c.Account, c.Region, in.DeploymentConfigName)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		used, err := tx.CodeDeployConfigUsed(ctx, row.ID)
		if err == nil && used {
			err = fault.New("DeploymentConfigInUseException", "A deployment group has the deployment configuration %s.", row.Name)
		}
		if err != nil {
			return err
		}
		return tx.DeleteCodeDeployConfig(ctx, c.Account, c.Region, row.Name)
	})
}
